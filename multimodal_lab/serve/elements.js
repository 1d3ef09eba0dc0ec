// Small helpers. Whatever comes from the server is set as text, never as markup.
const by = (id) => document.getElementById(id);
const all = (what, inside = document) => [...inside.querySelectorAll(what)];

function element(tag, kind = '', text = null) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== null) made.textContent = text;
  return made;
}

const number = (x) => x.toLocaleString('en');
const percent = (x) => (x === null ? '–' : `${(100 * x).toFixed(1)} %`);

class Refused extends Error {}

// What the server answers as JSON; `Refused` with its sentence, or with what kept it from answering.
async function ask(path, options = {}) {
  let reply;
  try {
    reply = await fetch(path, { ...options, credentials: 'omit' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refused('The server does not answer. Was it ended?');
  }
  const content = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Refused(content.error ? content.error.message : `${reply.status} ${reply.statusText}`);
  return content;
}
