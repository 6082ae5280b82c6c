// No Socket.IO server but the yardstick: the publish and subscribe of uWebSockets, in C++ inside of
// Bun, with no more of Socket.IO around it than the load generator needs.
const OPEN = JSON.stringify({
  sid: "yardstick", upgrades: [], pingInterval: 25000, pingTimeout: 20000, maxPayload: 1000000,
});

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    if (!server.upgrade(request)) return new Response("websocket only", { status: 400 });
  },
  websocket: {
    open(client) {
      client.send("0" + OPEN);
    },
    message(client, packet) {
      if (packet === "40") {
        client.subscribe("bench");
        client.send('40{"sid":"yardstick"}');
      } else if (packet.startsWith("42")) {
        const begin = packet.indexOf("[");
        const [name, text] = JSON.parse(packet.slice(begin));
        if (name === "bcast") server.publish("bench", "42" + JSON.stringify(["msg", text]));
        else client.send("43" + packet.slice(2, begin) + JSON.stringify([text]));
      }
    },
  },
});
console.log(JSON.stringify({ port: server.port, version: `uWebSockets in Bun ${Bun.version}` }));
