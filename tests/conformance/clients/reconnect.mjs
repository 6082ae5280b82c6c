// The server goes and comes back: the client returns by itself. Says a first line when connected.

import { client, next, say, scenario, settled } from "./scenario.mjs";

await scenario(async () => {
  const socket = client({
    reconnection: true,
    reconnectionDelay: 50,
    reconnectionDelayMax: 200,
    auth: { name: "returns" },
  });
  await settled(socket);
  await socket.emitWithAck("join", "room");
  const id = socket.id;
  const gone = next(socket, "disconnect");
  const back = gone.then(() => Promise.all([next(socket, "connect"), next(socket, "auth")]));
  say({ connected: true });

  const [reason] = await gone;
  const active = socket.active;
  // Waits in the client until there is a server again.
  const answer = socket.emitWithAck("message-with-ack", "sent into the void");
  const [, auth] = await back;
  const seen = {
    reason,
    active,
    auth,
    answer: await answer,
    newId: socket.id !== id,
    recovered: socket.recovered ?? false,
    rooms: await socket.emitWithAck("join"),
  };
  await settled(socket);
  socket.disconnect();
  return seen;
});
