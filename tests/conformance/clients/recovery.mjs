// Comes back whenever its connection is cut, and says all that it sees. It ends with the event "end".

import { client, say, scenario } from "./scenario.mjs";

await scenario(
  () =>
    new Promise((resolve) => {
      const socket = client({
        reconnection: true,
        reconnectionDelay: 20,
        reconnectionDelayMax: 50,
        randomizationFactor: 0,
      });
      socket.on("connect", () => say({ connect: socket.id, recovered: Boolean(socket.recovered) }));
      socket.on("disconnect", (reason) => say({ disconnect: reason }));
      socket.onAny((event, ...args) => {
        if (event === "end") {
          socket.disconnect();
          resolve({ end: true });
        } else {
          const last = args.at(-1);
          if (typeof last === "function") last(...args.slice(0, -1));
          else if (typeof last === "string") args.pop(); // the offset
          say({ event, args: args.filter((arg) => typeof arg !== "function") });
        }
      });
    }),
);
