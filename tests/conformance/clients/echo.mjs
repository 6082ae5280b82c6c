// Events and acknowledgements, both ways.

import { client, connected, next, parserName, scenario, settled, transportOf } from "./scenario.mjs";

const LARGE = parserName === "json" ? 1e21 : 1e15; // notepack.io cannot write the former
const VALUES = [1, -1.5, LARGE, "two", "", "\u00e9\u20ac\u{1f600}", null, true, [], {}, [[{ a: [1] }]]];

async function exchange(socket) {
  const back = next(socket, "message-back");
  socket.emit("message", ...VALUES);
  return {
    back: await back,
    ack: await new Promise((done) => {
      socket.emit("message-with-ack", ...VALUES, (...args) => done(args));
    }),
    asked: await socket.emitWithAck("ask-me", "how", ["much"]),
  };
}

await scenario(async () => {
  const socket = client({ auth: { name: "echo", token: "123" } });
  const auth = next(socket, "auth");
  socket.on("question", (...args) => args.pop()({ to: args }));
  await connected(socket);
  const first = await exchange(socket);
  await settled(socket);
  const second = await exchange(socket);
  // Many acknowledgements under way at once, each with a value of its own.
  const numbers = Array.from({ length: 200 }, (_, i) => i);
  const acks = await Promise.all(numbers.map((i) => socket.emitWithAck("message-with-ack", i)));
  const unknown = await socket
    .timeout(200)
    .emitWithAck("no such event")
    .catch((error) => error.message);
  const seen = { auth: await auth, values: VALUES, first, second, acks, unknown };
  seen.transport = transportOf(socket);
  socket.disconnect();
  return seen;
});
