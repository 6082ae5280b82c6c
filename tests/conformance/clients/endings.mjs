// Every way to part: what the client sees, and what the server told a watcher.

import { Manager } from "socket.io-client";
import { client, connected, next, parser, scenario, settled, transports, url } from "./scenario.mjs";

await scenario(async () => {
  const watcher = await connected(client({ auth: { name: "watcher" } }));
  await watcher.emitWithAck("join", "watchers");

  // Run `end` with a fresh client called `name`, and collect both sides' reasons.
  async function part(name, end) {
    const socket = await settled(client({ auth: { name } }));
    const here = next(socket, "disconnect");
    const there = next(watcher, "gone");
    await end(socket);
    const [reason] = await here;
    return { client: reason, server: await there, active: socket.active };
  }

  const seen = {
    clientLeaves: await part("leaves", (socket) => socket.disconnect()),
    clientCloses: await part("closes", (socket) => socket.io.engine.close()),
    serverKicks: await part("kicked", (socket) => socket.emit("kick-me", false)),
    serverCloses: await part("closed", (socket) => socket.emit("kick-me", true)),
  };

  // Kicked out of one namespace, a client stays in the others, and may come back.
  const manager = new Manager(url, { transports, parser, reconnection: false });
  const main = manager.socket("/", { auth: { name: "kicked from main" } });
  const chat = manager.socket("/chat", { auth: { name: "kicked from chat" } });
  await Promise.all([connected(main), connected(chat)]);
  await settled(main);
  const kicked = next(chat, "disconnect");
  chat.emit("kick-me", false);
  seen.oneOfTwo = {
    client: (await kicked)[0],
    main: await main.emitWithAck("message-with-ack", "still here"),
    connection: manager.engine.readyState,
  };
  chat.connect();
  await connected(chat);
  seen.oneOfTwo.back = await chat.emitWithAck("message-with-ack", "back");

  // Closed altogether, it is out of all.
  const both = Promise.all([next(main, "disconnect"), next(chat, "disconnect")]);
  chat.emit("kick-me", true);
  seen.bothOfTwo = (await both).map(([reason]) => reason);
  watcher.disconnect();
  return seen;
});
