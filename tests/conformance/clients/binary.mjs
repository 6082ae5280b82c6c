// Bytes in events, in acknowledgements, and deep inside; both ways.

import { client, connected, next, scenario, settled } from "./scenario.mjs";

const SMALL = Buffer.from([0, 1, 2, 255]);
const LARGE = Buffer.alloc(200_000, "atrio");
const VALUES = [SMALL, { a: [SMALL, { b: Buffer.alloc(0) }], c: "text" }, new Uint8Array([7, 8])];

// What JSON can hold: bytes as hexadecimal text.
function shown(value) {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    return `0x${Buffer.from(value.buffer ?? value, value.byteOffset, value.byteLength).toString("hex")}`;
  }
  if (Array.isArray(value)) return value.map(shown);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shown(inner)]));
  }
  return value;
}

async function exchange(socket) {
  const echo = (...args) => {
    const back = next(socket, "message-back");
    socket.emit("message", ...args);
    return back;
  };
  const back = shown(await echo(...VALUES));
  const [large, behind] = await echo(LARGE, "behind");
  return {
    back,
    large: [LARGE.equals(Buffer.from(large)), behind],
    ack: await new Promise((done) => {
      socket.emit("message-with-ack", ...VALUES, (...args) => done(shown(args)));
    }),
    asked: shown(await socket.emitWithAck("ask-me", VALUES[0], VALUES[1])),
  };
}

await scenario(async () => {
  const socket = client();
  socket.on("question", (...args) => args.pop()({ to: args }));
  await connected(socket);
  const first = await exchange(socket);
  await settled(socket);
  const second = await exchange(socket);
  socket.disconnect();
  return { values: shown(VALUES), first, second };
});
