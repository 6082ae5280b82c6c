// The client of the layer below, against the echo: text, binary, heartbeats, and the close.

import { Socket } from "engine.io-client";
import { mode, next, scenario, transports, url } from "./scenario.mjs";

const HEARTBEATS = 4;

await scenario(async () => {
  const socket = new Socket(url, { path: "/engine.io/", transports });
  const received = [];
  socket.binaryType = "nodebuffer";
  socket.on("message", (data) => {
    // The parser makes undefined of an empty text.
    received.push(Buffer.isBuffer(data) ? `0x${data.toString("hex")}` : (data ?? ""));
  });
  let heartbeats = 0;
  const beaten = new Promise((done) => {
    socket.on("ping", () => ++heartbeats === HEARTBEATS && done());
  });
  // Wait until `count` messages have come.
  const came = async (count) => {
    while (received.length < count) await next(socket, "message");
  };

  await next(socket, "open");
  const id = socket.id;
  const startedOn = socket.transport.name;
  const upgraded = mode === "upgrade" ? next(socket, "upgrade") : null;
  socket.send("first");
  socket.send("");
  socket.send("\u00e9\u20ac\u{1f600}\n");
  socket.send(Buffer.from([0, 1, 2, 255]));
  socket.send(Buffer.alloc(0));
  await came(5);
  await upgraded;
  for (let i = 0; i < 100; i++) socket.send(i % 2 ? String(i) : Buffer.from([i]));
  await came(105);
  await beaten;
  socket.send("alive");
  await came(106);

  const endedOn = socket.transport.name;
  const closed = next(socket, "close");
  socket.close();
  const [reason] = await closed;
  return { id, startedOn, endedOn, heartbeats, received, reason };
});
