// Several namespaces over one connection; one that does not exist; leaving and coming back.

import { Manager } from "socket.io-client";
import { connected, next, parser, scenario, settled, transports, url } from "./scenario.mjs";

await scenario(async () => {
  const manager = new Manager(url, { transports, parser, reconnection: false });
  const main = manager.socket("/", { auth: { token: "main" } });
  const auths = { main: next(main, "auth") };
  await connected(main);
  const custom = manager.socket("/custom", { auth: { token: "custom" } });
  auths.custom = next(custom, "auth");
  const chat = manager.socket("/chat");
  const nowhere = manager.socket("/nowhere");
  const [error] = await next(nowhere, "connect_error");
  await Promise.all([connected(custom), connected(chat)]);
  await settled(main);

  const heard = { main: [], custom: [], chat: [] };
  for (const [name, socket] of Object.entries({ main, custom, chat })) {
    socket.onAny((event, ...args) => heard[name].push([event, ...args]));
  }
  const answers = await Promise.all([
    main.emitWithAck("message-with-ack", "to main"),
    chat.emitWithAck("message-with-ack", "to chat"),
  ]);
  main.emit("message", "heard in main only");
  await next(main, "message-back");

  const ids = [main.id, custom.id, chat.id, manager.engine.id];
  custom.disconnect();
  const left = [custom.connected, main.connected, chat.connected, manager.engine.readyState];
  // The round trip shows that the server has let it go.
  await main.emitWithAck("message-with-ack", "still here");
  custom.connect();
  await connected(custom);
  const seen = {
    auths: { main: await auths.main, custom: await auths.custom },
    error: error.message,
    nowhere: nowhere.connected,
    answers,
    heard,
    differentIds: new Set(ids).size,
    left,
    back: [custom.connected, custom.id !== ids[1]],
    oneConnection: main.io.engine === custom.io.engine && manager.engine.id === ids[3],
  };
  manager._close();
  return seen;
});
