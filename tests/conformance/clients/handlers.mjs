// Listeners, middleware, once and off on the server, as a client notices them; and parents.

import { Manager } from "socket.io-client";
import { connected, next, scenario, settled, transports, url } from "./scenario.mjs";

await scenario(async () => {
  const manager = new Manager(url, { transports, reconnection: false });
  const socket = manager.socket("/handlers");
  await settled(socket);
  const ask = (event, ...args) => socket.emitWithAck(event, ...args);

  const order = await ask("order", "x");
  const changed = await ask("change", "before");
  const muted = await socket
    .timeout(300)
    .emitWithAck("muted")
    .catch((error) => error.message);
  const errors = await ask("errors");
  const once = [await ask("once"), await ask("once")];
  const off = [await ask("off"), await ask("off")];
  const told = next(socket, "told");
  await ask("outgoing", "to all");
  await told;
  const outgoing = await ask("heard");
  const rooms = await ask("rooms");

  const ann = manager.socket("/org-ann");
  const bob = manager.socket("/org-bob");
  await Promise.all([connected(ann), connected(bob)]);
  await ann.emitWithAck("join", "staff");
  const heard = [next(ann, "staff"), next(ann, "all"), next(bob, "all")];
  const strays = [];
  bob.on("staff", () => strays.push("staff"));
  await ask("tell", "staff");
  const parents = (await Promise.all(heard)).map(([name]) => name);
  const fallback = await new Promise((resolve) => {
    ann.timeout(300).emit("what", 7, (error, ...answer) => {
      resolve(error ? error.message : answer);
    });
  });
  const classes = manager.socket("/classes");
  const refused = await new Promise((resolve) => {
    classes.on("connect", () => resolve(false));
    classes.on("connect_error", (error) => resolve(error.message));
  });
  const counted = refused ? refused : await classes.emitWithAck("how_many");
  manager._close();
  return {
    order, changed, muted, errors, once, off, outgoing, rooms, parents, strays, fallback, counted,
  };
});
