// The chat page of atrio: first a small Socket.IO client, then the view.

// Client ----------------------------------------------------------------------
// Socket.IO v5 on Engine.IO v4, text frames over one WebSocket. A Connection carries
// any number of namespaces; each is a Socket, wanted while it has an `auth`. `settle`
// brings what the server knows into line with what is wanted, whatever was clicked
// while an answer was still under way.

const FIRST_DELAY = 500;
const LONGEST_DELAY = 5_000;
const PATIENCE = 10_000; // for the greeting of a new connection, and for acks

const AWAY = { error: { code: 'away', message: 'You are not connected right now.' } };
const LOST = { error: { code: 'lost', message: 'The connection was lost before the server answered.' } };
const LATE = { error: { code: 'late', message: 'The server did not answer in time.' } };

class Socket {
  sid = null;   // set while the server has us in this namespace
  auth = null;  // set while we want to be in it
  asked = null; // the auth of a CONNECT that is not yet answered
  #handlers = new Map();
  #acks = new Map();
  #lastAck = 0;

  constructor(connection, namespace) {
    this.connection = connection;
    this.namespace = namespace;
  }

  connect(auth) {
    this.auth = auth;
    this.connection.settle();
  }

  disconnect() {
    this.connect(null);
  }

  /** Sets the one handler of an event of the server, or of `connect` or `connect_error`. */
  on(event, handler) {
    this.#handlers.set(event, handler);
  }

  fire(event, ...args) {
    this.#handlers.get(event)?.(...args);
  }

  /** Resolves to the server's ack, or to an `{error}` of the same shape if none will come. */
  emit(event, ...args) {
    if (!this.sid) return Promise.resolve(AWAY);
    const id = this.#lastAck++;
    this.send(2, [event, ...args], id);
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.acknowledge(id, LATE), PATIENCE);
      this.#acks.set(id, (answer) => { clearTimeout(timer); resolve(answer); });
    });
  }

  acknowledge(id, answer) {
    this.#acks.get(id)?.(answer);
    this.#acks.delete(id);
  }

  send(type, payload, id = '') {
    const place = this.namespace === '/' ? '' : `${this.namespace},`;
    this.connection.send(`4${type}${place}${id}${payload ? JSON.stringify(payload) : ''}`);
  }

  /** Forgets the session: nothing of it will be answered any more. */
  reset() {
    this.sid = this.asked = null;
    for (const id of [...this.#acks.keys()]) this.acknowledge(id, LOST);
  }
}

class Connection {
  #url;
  #onState; // told 'connecting', 'connected', 'reconnecting', or 'offline' when nothing is wanted
  #sockets = new Map();
  #ws = null;
  #greeted = false;
  #connectedAt = Infinity;
  #attempts = 0;
  #retryAt = null; // when the next attempt is due, while we wait for it
  #retryTimer;
  #watchdog;
  #silence; // the longest the server may go without a ping

  constructor(url, onState) {
    this.#url = url;
    this.#onState = onState;
    addEventListener('online', () => this.retry());
  }

  of(namespace) {
    const socket = new Socket(this, namespace);
    this.#sockets.set(namespace, socket);
    return socket;
  }

  retry() {
    if (this.#retryAt !== null) this.#dial();
  }

  send(frame) {
    if (this.#ws?.readyState === WebSocket.OPEN) this.#ws.send(frame);
  }

  settle() {
    const sockets = [...this.#sockets.values()];
    if (!sockets.some((socket) => socket.auth)) return this.#hangUp();
    if (!this.#ws && this.#retryAt === null) return this.#dial();
    if (!this.#greeted) return;
    for (const socket of sockets) {
      if (socket.asked) continue; // one request at a time: its answer brings us back here
      if (socket.auth && !socket.sid) {
        socket.asked = socket.auth;
        socket.send(0, socket.auth);
      } else if (!socket.auth && socket.sid) {
        socket.send(1);
        socket.reset();
      }
    }
  }

  #dial() {
    this.#drop();
    this.#onState(this.#attempts ? 'reconnecting' : 'connecting');
    const ws = this.#ws = new WebSocket(this.#url);
    // A connection that was given up may still speak; only the current one is heard.
    ws.onmessage = ({ data }) => ws === this.#ws && this.#receive(data);
    ws.onclose = () => ws === this.#ws && this.#lost();
    this.#watch(PATIENCE);
  }

  #hangUp() {
    this.#drop();
    this.#attempts = 0;
    this.#onState('offline');
  }

  #lost() {
    this.#drop();
    const delay = Math.min(FIRST_DELAY * 2 ** this.#attempts++, LONGEST_DELAY) * (0.75 + Math.random() / 4);
    this.#retryTimer = setTimeout(() => this.#dial(), delay);
    this.#retryAt = Date.now() + delay;
    this.#onState('reconnecting', this.#retryAt);
  }

  #drop() {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#watchdog);
    // Only a connection that lasted ends the back-off: a server that welcomes us and
    // then drops us must not be called twice a second.
    if (Date.now() - this.#connectedAt > LONGEST_DELAY) this.#attempts = 0;
    const ws = this.#ws;
    this.#ws = this.#retryAt = null;
    this.#greeted = false;
    this.#connectedAt = Infinity;
    // The console would complain of one that is closed before it was open.
    if (ws?.readyState === WebSocket.CONNECTING) ws.onopen = () => ws.close();
    else ws?.close();
    for (const socket of this.#sockets.values()) socket.reset();
  }

  #watch(patience) {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#lost(), patience);
  }

  #receive(frame) {
    const body = frame.slice(1);
    switch (frame[0]) {
      case '0': return this.#greet(JSON.parse(body));
      case '1': return this.#lost();
      case '2': this.send(`3${body}`); return this.#watch(this.#silence);
      case '4': return this.#dispatch(body);
    }
  }

  #greet({ pingInterval, pingTimeout }) {
    this.#greeted = true;
    this.#silence = pingInterval + pingTimeout;
    this.#watch(this.#silence);
    this.settle();
  }

  #dispatch(packet) {
    const [, type, namespace = '/', id, json] = /^(\d)(?:(\/[^,]*)(?:,|$))?(\d+)?(.*)$/s.exec(packet);
    const socket = this.#sockets.get(namespace);
    if (!socket) return;
    const data = json ? JSON.parse(json) : {};
    switch (type) {
      case '0': case '4': return this.#answered(socket, type === '0', data);
      // We never outstay a goodbye: the server is most likely going down.
      case '1': return this.#lost();
      // Events that were under way while we left the namespace are of no use to anyone.
      case '2': return socket.sid && socket.fire(...data);
      case '3': return socket.acknowledge(Number(id), data[0]);
    }
  }

  /** The answer to a CONNECT counts only if we still want what was asked for. */
  #answered(socket, admitted, data) {
    const current = socket.asked === socket.auth;
    socket.asked = null;
    if (admitted && current) {
      socket.sid = data.sid;
      this.#connectedAt = Math.min(this.#connectedAt, Date.now());
      this.#onState('connected');
      socket.fire('connect');
    } else if (admitted) {
      socket.send(1);
    } else if (current) {
      socket.auth = null; // asking again the same way would bring the same answer
      socket.fire('connect_error', data);
    }
    this.settle();
  }
}

// View ------------------------------------------------------------------------
// Names and texts of users reach the document through `textContent`, text nodes and
// attributes only, never as markup.

const FIRST_ROOM = 'general';
const GROUP_WITHIN = 5 * 60_000; // messages of one author further apart start a new group
const LOG_LIMIT = 500;           // entries kept on the page
const USERS_LIMIT = 200;         // names listed before "and N more", here
const MEMBERS_LIMIT = 30;        // and in the statistics

const $ = (id) => document.getElementById(id);
const log = $('messages');
const draft = $('message-input');

const connection = new Connection(
  new URL('/socket.io/?EIO=4&transport=websocket', location.origin.replace(/^http/, 'ws')),
  showConnection,
);
const chat = connection.of('/chat');
const admin = connection.of('/admin');

let room = null;           // the room shown; null while we have not joined
let returnTo = FIRST_ROOM; // the room to go back to after a reconnect
let users = [];            // who is in it; names may repeat
let pinned = true;         // the reader is at the end of the log
let countdown;             // the timer that shows when we shall reconnect

function element(tag, { data, ...properties } = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  Object.assign(node.dataset, data);
  node.append(...children);
  return node;
}

// Storage may be forbidden by the browser's settings; the page works without.
function recall(storage, key) {
  try { return window[storage].getItem(key) ?? ''; } catch { return ''; }
}

function remember(storage, key, value) {
  try { window[storage].setItem(key, value); } catch { /* then it is typed again next time */ }
}

/** Shows a refusal beside its form, or clears it; `field` is the one to correct. */
function showError(id, message = '', field = null) {
  $(id).textContent = message;
  field?.setAttribute('aria-invalid', String(message !== ''));
  if (message) field?.focus();
}

function onSubmit(form, action) {
  $(form).addEventListener('submit', (event) => {
    event.preventDefault();
    action();
  });
}

const STATES = {
  offline: 'Not connected', connecting: 'Connecting', connected: 'Connected', reconnecting: 'Reconnecting',
};

function showConnection(state, retryAt) {
  $('connection-state').dataset.state = state;
  // Written only when it changes, for every change is announced.
  if ($('state-text').textContent !== STATES[state]) $('state-text').textContent = STATES[state];
  clearInterval(countdown);
  if (retryAt) countdown = setInterval(showCountdown, 250, retryAt);
  showCountdown(retryAt, state);
  $('admin-stats').classList.toggle('stale', state !== 'connected');
  const hadFocus = document.activeElement === $('retry');
  $('retry').hidden = state !== 'reconnecting';
  if (hadFocus && $('retry').hidden) focusView();
}

function showCountdown(retryAt, state) {
  const seconds = Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
  const pending = state?.endsWith('connecting') ? ' …' : '';
  $('state-countdown').textContent = retryAt ? ` in ${seconds} s …` : pending;
}

$('retry').addEventListener('click', () => connection.retry());

// Views

const inAdmin = () => location.hash === '#admin';

function showView() {
  $('admin-view').hidden = !inAdmin();
  $('join-view').hidden = inAdmin() || room !== null;
  $('chat-view').hidden = inAdmin() || room === null;
  $('admin-link').ariaCurrent = inAdmin() ? 'page' : null;
  $('chat-link').ariaCurrent = inAdmin() ? null : 'page';
  const place = inAdmin() ? 'Statistics' : room && `#${room}`;
  document.title = place ? `${place} · atrio` : 'atrio';
}

function focusView() {
  if (inAdmin()) $($('admin-token-form').hidden ? 'admin-title' : 'admin-token-input').focus();
  else (room === null ? $('name-input') : draft).focus();
}

function route() {
  showView();
  focusView();
  if (!inAdmin()) admin.disconnect();
  else if (!admin.auth) openAdmin(recall('sessionStorage', 'atrio.adminToken'));
}

addEventListener('hashchange', route);

// Joining and leaving

$('name-input').value = recall('localStorage', 'atrio.name');

onSubmit('name-form', () => {
  showError('name-error', '', $('name-input'));
  chat.connect({ name: $('name-input').value.trim() });
});

chat.on('connect', () => {
  remember('localStorage', 'atrio.name', chat.auth.name);
  label($('self'), chat.auth.name);
  showError('message-error', '', draft);
  if (returnTo !== FIRST_ROOM) switchRoom(returnTo);
});

chat.on('connect_error', ({ message }) => {
  endSession();
  showError('name-error', message, $('name-input'));
});

$('leave').addEventListener('click', () => {
  chat.disconnect();
  endSession();
  focusView();
});

function endSession() {
  room = null;
  returnTo = FIRST_ROOM;
  showView();
}

// Rooms and who is here

async function switchRoom(name) {
  showError('room-error');
  const answer = await chat.emit('switchRoom', name);
  if (answer.error) showError('room-error', answer.error.message);
  else returnTo = answer.room;
}

chat.on('roomChanged', (change) => {
  const arriving = room === null;
  ({ room, users } = change);
  pinned = true;
  log.replaceChildren();
  $('newer').hidden = true;
  $('room-title').textContent = room;
  showError('room-error');
  markRoom();
  showUsers();
  early.splice(0).filter((message) => message.room === room).forEach(showMessage);
  showView();
  if (arriving && !inAdmin()) focusView();
});

chat.on('rooms', (rooms) => {
  // Buttons are kept from one update to the next, and with them the keyboard focus.
  for (const { name, users } of rooms) {
    const button = roomButtons().find(({ dataset }) => dataset.room === name) ?? addRoom(name);
    button.querySelector('.count').textContent = users.toLocaleString();
  }
  markRoom();
});

const roomButtons = () => [...$('room-list').querySelectorAll('button')];

function addRoom(name) {
  const button = element('button', { type: 'button', data: { room: name, testid: `room-${name}` } },
    element('span', { className: 'room-name', textContent: name }), ' ',
    element('span', { className: 'count', data: { testid: `count-${name}` } }),
    element('span', { className: 'unseen', textContent: ' here' }));
  button.addEventListener('click', () => name !== room && switchRoom(name));
  $('room-list').append(element('li', {}, button));
  return button;
}

function markRoom() {
  for (const button of roomButtons()) button.ariaCurrent = String(button.dataset.room === room);
}

chat.on('notification', ({ kind, user, text, time, room: where }) => {
  if (where !== room) return;
  if (kind === 'joined') users.push(user);
  else if (users.includes(user)) users.splice(users.indexOf(user), 1);
  showUsers();
  append(element('p', { className: 'notice', dir: 'auto', data: { testid: 'notice' } }, text, ' ', clock(time)));
});

function showUsers() {
  $('people-count').textContent = users.length.toLocaleString();
  listNames($('users'), users, USERS_LIMIT);
  // Only one of them, should others bear the same name.
  [...$('users').children].find((item) => item.textContent === chat.auth?.name)?.classList.add('me');
}

function listNames(list, names, limit) {
  const sorted = names.toSorted((a, b) => a.localeCompare(b));
  const rest = sorted.splice(limit).length;
  list.replaceChildren(...sorted.map((name) => label(element('li', { className: 'person', dir: 'auto' }), name)));
  if (rest) list.append(element('li', { className: 'more', textContent: `and ${rest.toLocaleString()} more` }));
}

/** Writes a name, with the initial and the colour that the style sheet makes a badge of. */
function label(node, name) {
  node.textContent = name;
  node.dataset.initial = ([...name.trim()][0] ?? '?').toUpperCase();
  node.dataset.hue = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 6, 0);
  return node;
}

// Messages

// One enters a room a moment before one is told of it: what is said meanwhile is not lost.
const early = [];

chat.on('message', (message) => (message.room === room ? showMessage(message) : early.push(message)));

function showMessage({ from, user, text, time }) {
  let group = log.lastElementChild;
  const at = Date.parse(time);
  if (group?.dataset.from !== from || at - group.dataset.at > GROUP_WITHIN) {
    group = element('section', { className: 'group', data: { from, own: from === chat.sid } },
      label(element('p', { className: 'author', dir: 'auto' }), user));
  }
  group.dataset.at = at;
  group.append(element('div', { className: 'message', data: { testid: 'message' } },
    element('p', { className: 'text', dir: 'auto', textContent: text, data: { testid: 'message-text' } }), ' ',
    clock(time)));
  append(group);
}

function clock(iso) {
  const time = new Date(iso);
  const short = time.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  return element('time', { dateTime: iso, title: time.toLocaleString(), textContent: short });
}

/** Brings an entry to the end of the log, and along with it a reader who was there. */
function append(entry) {
  if (entry !== log.lastElementChild) log.append(entry);
  while (log.childElementCount > LOG_LIMIT) log.firstElementChild.remove();
  if (pinned) toEnd();
  else $('newer').hidden = false;
}

function toEnd() {
  log.scrollTop = log.scrollHeight;
}

log.addEventListener('scroll', () => {
  if (!log.clientHeight) return; // hidden with its view, not scrolled
  pinned = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  if (pinned) $('newer').hidden = true;
});

// The log shrinks when the message box grows or an on-screen keyboard opens.
new ResizeObserver(() => pinned && toEnd()).observe(log);

$('newer').addEventListener('click', () => {
  toEnd();
  draft.focus();
});

onSubmit('message-form', async () => {
  // The box is free for the next message at once; a refused one comes back, before what was typed since.
  const text = draft.value;
  draft.value = '';
  const { error } = await chat.emit('message', text);
  if (error) draft.value = [text, draft.value].filter(Boolean).join('\n');
  showError('message-error', error?.message, draft);
});

draft.addEventListener('input', () => showError('message-error', '', draft));

draft.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $('message-form').requestSubmit();
});

// Statistics

function openAdmin(token) {
  showError('admin-error');
  admin.connect({ token });
}

onSubmit('admin-token-form', () => openAdmin($('admin-token-input').value));

admin.on('connect', () => {
  remember('sessionStorage', 'atrio.adminToken', admin.auth.token);
  const hadFocus = $('admin-token-form').contains(document.activeElement);
  $('admin-token-form').hidden = true;
  $('admin-token-input').value = '';
  if (hadFocus) focusView();
});

admin.on('connect_error', ({ message }) => {
  $('admin-stats').hidden = true;
  $('admin-token-form').hidden = false;
  showError('admin-error', message, $('admin-token-input'));
});

admin.on('stats', ({ uptime, connections, sockets, memberships, rooms }) => {
  const totals = { Uptime: duration(uptime), Connections: connections, Sockets: sockets, Memberships: memberships };
  $('totals').replaceChildren(...Object.entries(totals).map(([name, value]) => element('div', {},
    element('dt', { textContent: name }), element('dd', { textContent: value.toLocaleString() }))));
  $('room-stats').replaceChildren(...rooms.map(roomCard));
  $('admin-stats').hidden = false;
});

function roomCard({ name, users, messages }) {
  const names = element('ul', { className: 'names' });
  listNames(names, users, MEMBERS_LIMIT);
  return element('li', { className: 'card', data: { testid: `stats-${name}` } },
    element('h3', { textContent: name, dir: 'auto' }),
    element('p', { textContent: `${plural(users.length, 'member')}, ${plural(messages, 'message')}` }),
    users.length ? names : element('p', { className: 'nobody', textContent: 'Nobody is here.' }));
}

function plural(count, noun) {
  return `${count.toLocaleString()} ${noun}${count === 1 ? '' : 's'}`;
}

/** The two largest units that matter, such as "2 h 5 min". */
function duration(seconds) {
  const [d, h, min, s] = [seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60].map(Math.floor);
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${min} min`;
  return min ? `${min} min ${s} s` : `${s} s`;
}

route();
