// Payloads that fit a handler's annotations, and some that do not.

import { client, connected, scenario } from "./scenario.mjs";

await scenario(async () => {
  const socket = client();
  await connected(socket);
  const ask = (event, ...args) => socket.emitWithAck(event, ...args);
  const picture = { name: "sea", data: Buffer.from([0, 255]), taken: new Date(0) };

  const album = await ask("album", { pictures: [picture], public: true });
  album[2] = [...new Uint8Array(album[2])];
  const noPicture = await ask("album", { pictures: [picture, { ...picture, data: "AP8=" }] });
  const noDate = await ask("album", { pictures: [{ ...picture, taken: Date.now() }] });
  const moved = await ask("move", 3);
  const text = await ask("move", "3", 4);
  const missing = await ask("move", 3, undefined);
  const tooMany = await ask("move", 1, 2, 3);
  socket.emit("move", "without an ack");
  const calls = await ask("calls");
  socket.disconnect();
  return { album, noPicture, noDate, moved, text, missing, tooMany, calls };
});
