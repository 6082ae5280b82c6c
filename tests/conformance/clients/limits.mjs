// What the client sees of limits: one connection too many, and more events than it may send.

import { client, connected, next, scenario, settled } from "./scenario.mjs";

await scenario(async () => {
  const watcher = await connected(client({ auth: { name: "watcher" } }));
  await watcher.emitWithAck("join", "watchers");
  const flood = await settled(client({ auth: { name: "flood" } }));
  const third = await settled(client({ auth: { name: "third" } }));

  const late = client({ auth: { name: "late" } });
  const [error] = await next(late, "connect_error");
  const seen = { refusal: error.message, status: error.description?.message ?? error.description };
  late.disconnect();

  const here = next(flood, "disconnect");
  const there = next(watcher, "gone");
  for (let i = 0; i < 100; i++) flood.emit("message", i);
  const [reason, details] = await here;
  seen.reason = reason;
  seen.active = flood.active;
  seen.code = details.context?.code;
  seen.text = details.context?.reason;
  seen.httpStatus = details.description;
  seen.gone = await there;

  // Its place is free again, and the others are where they were.
  const again = await connected(client({ auth: { name: "again" } }));
  seen.again = await again.emitWithAck("join", "somewhere");
  seen.third = third.connected && (await third.emitWithAck("join", "somewhere"));
  for (const socket of [watcher, third, again]) socket.disconnect();
  return seen;
});
