// A client whose parser is not the server's: it gets nowhere, and soon knows.

import { client, fail, next, scenario } from "./scenario.mjs";

await scenario(async () => {
  const socket = client();
  socket.on("connect", () => fail("connected"));
  const [reason] = await next(socket.io, "close");
  return { reason };
});
