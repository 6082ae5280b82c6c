// What JavaScript has and JSON has not, as the server's handlers get it: it echoes, so that is what
// comes back. Bytes are shown as hexadecimal text.

import { client, connected, scenario } from "./scenario.mjs";

const VALUES = [
  undefined,
  [undefined, 1],
  { absent: undefined, there: 1 },
  NaN,
  [Infinity, -Infinity],
  new Date(0),
  { when: new Date(-1), far: new Date(8.64e15), before: new Date(-8.64e15), late: new Date(1e12) },
  Buffer.from([0]),
  { a: [new Uint8Array([0]), new Uint8Array([0, 0, 0, 0, 0, 0, 0, 8])] },
  new Uint8Array([1, 2]).buffer,
  "x".repeat(40) + "\u{1f600}",
  -0,
  { toJSON: () => "as JSON" },
];

function shown(value) {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    return `0x${Buffer.from(value.buffer ?? value, value.byteOffset, value.byteLength).toString("hex")}`;
  }
  if (Array.isArray(value)) return value.map(shown);
  if (value !== null && typeof value === "object" && !(value instanceof Date)) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shown(inner)]));
  }
  return value instanceof Date ? `a Date, ${value.toISOString()}` : value;
}

await scenario(async () => {
  const socket = client();
  await connected(socket);
  const ack = await new Promise((done) => {
    socket.emit("message-with-ack", ...VALUES, (...args) => done(args));
  });
  socket.disconnect();
  return { values: shown(ack) };
});
