// Twenty clients race for the four seats of a table: `npm install socket.io-client`, then
// `node race.mjs http://127.0.0.1:3000`.
import { io } from "socket.io-client";

const url = process.argv[2] ?? "http://127.0.0.1:3000";
const clients = Array.from({ length: 20 }, (_, number) =>
  io(url, { auth: { name: `client ${number}` }, forceNew: true }),
);
const answers = await Promise.all(
  clients.map((client) => client.timeout(10_000).emitWithAck("sit", "1")),
);
const seated = answers.filter((answer) => answer.ok).length;
const reasons = answers.filter((answer) => answer.error).map((answer) => answer.error.message);
console.log(`${seated} are seated, ${reasons.length} are not: ${[...new Set(reasons)]}`);
for (const client of clients) {
  client.disconnect();
}
