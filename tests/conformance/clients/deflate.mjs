// Deflated messages, both ways: what arrives, and how many bytes it took.

import { client, next, scenario, settled } from "./scenario.mjs";

const TEXT = "A line like the others before it.\n".repeat(6_000);
const BYTES = Buffer.alloc(200_000, "atrio");

await scenario(async () => {
  const socket = client({ perMessageDeflate: { threshold: 0 } });
  socket.on("question", (...args) => args.pop()({ to: args }));
  await settled(socket);
  const { ws } = socket.io.engine.transport;
  const exchange = async (...args) => {
    const before = [ws._socket.bytesWritten, ws._socket.bytesRead];
    const back = next(socket, "message-back");
    socket.emit("message", ...args);
    const same = (await back).map((value, index) =>
      Buffer.isBuffer(value) ? value.equals(args[index]) : value === args[index],
    );
    const after = [ws._socket.bytesWritten, ws._socket.bytesRead];
    return { same, bytes: after.map((count, index) => count - before[index]) };
  };
  const seen = {
    extensions: ws.extensions,
    short: await exchange("é", 1),
    text: await exchange(TEXT),
    again: await exchange(TEXT),
    bytes: await exchange(BYTES, "between", Buffer.alloc(0)),
    asked: await socket.emitWithAck("ask-me", TEXT.length, TEXT),
  };
  seen.asked = [seen.asked.to[0], seen.asked.to[1] === TEXT];
  const end = next(socket, "disconnect");
  socket.emit("message", "x".repeat(50_000_000)); // a bomb, at a thousand to one
  seen.reason = (await end)[0];
  return seen;
});
