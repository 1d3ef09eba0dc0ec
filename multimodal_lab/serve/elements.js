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

// A good reply of the server; `Refused` with its sentence, or with what kept it from answering.
async function reply(path, options) {
  let found;
  try {
    found = await fetch(path, { ...options, credentials: 'omit' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refused('The server does not answer. Was it ended?');
  }
  if (found.ok) return found;
  const content = await found.json().catch(() => ({}));
  throw new Refused(content.error ? content.error.message : `${found.status} ${found.statusText}`);
}

// What it answers as JSON.
const ask = async (path, options = {}) => (await reply(path, options)).json().catch(() => ({}));
// What it answers as a file.
const download = async (path) => (await reply(path, {})).blob();
