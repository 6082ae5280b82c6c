// Three clients meet in rooms: who hears what.

import { client, connected, scenario, settled } from "./scenario.mjs";

await scenario(async () => {
  const names = ["ann", "bob", "cid"];
  const sockets = {};
  const heard = {};
  for (const name of names) {
    sockets[name] = await connected(client({ auth: { name } }));
    heard[name] = [];
    sockets[name].on("told", (...args) => heard[name].push(args));
  }
  const { ann, bob, cid } = sockets;

  // Make sure that everybody has heard what was sent before, and collect it.
  async function collect() {
    for (const name of names) {
      if (sockets[name].connected) await sockets[name].emitWithAck("message-with-ack");
    }
    const all = structuredClone(heard);
    for (const name of names) heard[name].length = 0;
    return all;
  }

  async function tell(socket, how, ...args) {
    await socket.emitWithAck(how, ...args);
    return collect();
  }

  async function round() {
    return {
      joined: [
        await ann.emitWithAck("join", "one", "two"),
        await bob.emitWithAck("join", "one"),
        await cid.emitWithAck("join", "two"),
      ],
      others: await tell(ann, "tell-others", "one", "for the others", { in: "one" }),
      fromOutside: await tell(cid, "tell-others", "one", "from outside"),
      all: await tell(ann, "tell-all", ["one"], "for all"),
      union: await tell(bob, "tell-all", ["one", "two", "nobody"], "once each"),
      except: await tell(bob, "tell-except", "two", "not in two"),
      nobody: await tell(ann, "tell-all", ["nobody"], "in vain"),
      left: await ann.emitWithAck("leave", "one"),
      afterwards: await tell(bob, "tell-all", ["one"], "without ann"),
      leftAll: [
        await ann.emitWithAck("leave", "two"),
        await bob.emitWithAck("leave", "one"),
        await cid.emitWithAck("leave", "two"),
      ],
      empty: await tell(bob, "tell-all", ["one", "two"], "in vain"),
    };
  }

  const seen = { first: await round() };
  for (const name of names) await settled(sockets[name]);
  seen.second = await round();

  // The same name in another namespace is another room.
  const chat = await connected(client({ auth: { name: "dan" } }, "/chat"));
  let heardInChat = 0;
  chat.on("told", () => heardInChat++);
  await chat.emitWithAck("join", "one");
  await bob.emitWithAck("join", "one");
  await bob.emitWithAck("tell-all", ["one"], "in main");
  await chat.emitWithAck("message-with-ack");
  seen.sameName = await collect();
  seen.heardInChat = heardInChat;

  // Who goes leaves all rooms.
  bob.disconnect();
  seen.gone = await tell(ann, "tell-all", ["one"], "bob has gone");
  for (const socket of [ann, cid, chat]) socket.disconnect();
  return seen;
});
