// What the page holds. Every word of it is data: it reaches the page as text (textContent) and plotly not at all.
const KINDS = {f: Float32Array, i: Int32Array, u: Uint16Array};
const NONE = 65535;

function unpack(packed) {
  const raw = atob(packed.data), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new KINDS[packed.type](bytes.buffer);
}

const content = JSON.parse(document.getElementById('data').textContent);
const count = content.ids.length;
const look = content.look;

const panels = content.panels.map((p) => {
  const rows = unpack(p.rows), place = new Int32Array(count).fill(-1);
  rows.forEach((row, k) => { place[row] = k; });
  return {...p, rows, place, x: unpack(p.x), y: unpack(p.y)};
});
const labels = content.labels.map((l) => (
  l.kind === 'classes' ? {...l, codes: unpack(l.codes)} : {...l, values: unpack(l.values)}
));
const cosines = (packed) => Float32Array.from(unpack(packed), (u) => 2 * u / 65535 - 1);
const near = content.near.map((n) => ({...n, index: unpack(n.index), closeness: cosines(n.closeness)}));
const captions = content.captions; // of each stream of text, the texts of every sample
const pictures = content.pictures && {...content.pictures, place: unpack(content.pictures.place)};

// selected: a Uint8Array of 0 and 1 for each sample, or null where nothing is
const state = {label: 0, selected: null, hovered: -1, picked: -1, stream: ''};

const within = (name) => panels.find((p) => p.name === name);
const missing = (row, stream) => { const p = within(stream); return !!p && p.place[row] < 0; };

function told(label, row) {
  if (label.kind === 'classes') return label.codes[row] < 0 ? '–' : label.classes[label.codes[row]];
  const value = label.values[row];
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : '–';
}

function shade(label, row) {
  if (label.kind === 'classes') {
    const code = label.codes[row];
    return code < 0 ? look.missing : look.palette[code % look.palette.length];
  }
  const value = label.values[row], span = label.high - label.low;
  if (!Number.isFinite(value)) return look.missing;
  const part = span > 0 ? (value - label.low) / span : 0;
  return look.ramp[Math.min(look.ramp.length - 1, Math.floor(part * look.ramp.length))];
}

function shape(code) {
  const turn = Math.floor(Math.max(code, 0) / look.palette.length);
  return look.shapes[turn % look.shapes.length];
}

function element(tag, name, words) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (words !== undefined) made.textContent = words;
  return made;
}

const by = (id) => document.getElementById(id);
const number = (n) => n.toLocaleString('en');
