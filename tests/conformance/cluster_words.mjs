// How values are told in JSON lines: bytes are `{"$bytes": base64}`, both ways.

const isBytes = (value) => ArrayBuffer.isView(value) || value instanceof ArrayBuffer;

export function shown(value) {
  if (isBytes(value)) return { $bytes: Buffer.from(value).toString("base64") };
  if (value instanceof Set || Array.isArray(value)) return [...value].map(shown);
  if (value instanceof Error) return { error: value.message };
  if (value === null || typeof value !== "object" || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shown(inner)]));
}

// What JSON has no words for comes as `{"$undefined": 0}`, `{"$date": ms}`, `{"$number": "NaN"}`.
export function meant(value) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(meant);
  if ("$bytes" in value) return Buffer.from(value.$bytes, "base64");
  if ("$undefined" in value) return undefined;
  if ("$date" in value) return new Date(value.$date);
  if ("$number" in value) return Number(value.$number);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, meant(inner)]));
}

export const say = (what) => process.stdout.write(`${JSON.stringify(shown(what))}\n`);
