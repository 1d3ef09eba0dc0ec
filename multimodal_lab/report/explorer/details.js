// Below the maps and beside the pointer: the key, one sample with its neighbours, the selection.
const FEW = 96, CLASSES = 80;
const SPACES = {
  projection: 'both as the projection heads give them',
  width: 'spaces of one width, which nothing need have aligned',
};
const PATHS = {
  'circle': 'M11 6A5 5 0 1 1 1 6A5 5 0 1 1 11 6Z', 'square': 'M1.5 1.5H10.5V10.5H1.5Z', 'diamond': 'M6 0L12 6L6 12L0 6Z',
  'triangle-up': 'M6 1L11.5 10.5H.5Z', 'triangle-down': 'M6 11L.5 1.5H11.5Z', 'cross': 'M4 0H8V4H12V8H8V12H4V8H0V4H4Z',
};

function swatch(colour, form) {
  const make = (tag) => document.createElementNS('http://www.w3.org/2000/svg', tag);
  const svg = make('svg'), path = make('path');
  svg.setAttribute('viewBox', '0 0 12 12');
  path.setAttribute('d', PATHS[form] || PATHS.circle);
  path.setAttribute('fill', colour);
  svg.append(path);
  return svg;
}

function key() {
  const label = labels[state.label], rows = by('key').querySelector('.rows');
  by('key').querySelector('h2').textContent = label.name;
  rows.replaceChildren(...(label.kind === 'classes' ? classes(label) : [scale(label)]));
}

function classes(label) {
  const all = new Map(), mine = new Map();
  label.codes.forEach((code, row) => {
    all.set(code, (all.get(code) || 0) + 1);
    if (state.selected && state.selected[row]) mine.set(code, (mine.get(code) || 0) + 1);
  });
  const most = [...all].sort((a, b) => b[1] - a[1]).slice(0, CLASSES).map(([code]) => code);
  const made = most.sort((a, b) => (a < 0) - (b < 0) || a - b).map((code) => {
    const row = element('button', 'class');
    const has = mine.get(code) || 0, total = all.get(code);
    row.style.setProperty('--part', state.selected ? has / total : 0);
    row.append(
      swatch(code < 0 ? look.missing : look.palette[code % look.palette.length], shape(code)),
      element('span', 'name', code < 0 ? 'missing' : label.classes[code]),
      element('span', 'soft', state.selected ? `${number(has)} of ${number(total)}` : number(total)),
    );
    row.title = 'select these samples; with shift, add them';
    row.addEventListener('click', (event) => select((r) => label.codes[r] === code, event.shiftKey));
    return row;
  });
  if (all.size > most.length) made.push(element('p', 'soft', `and ${number(all.size - most.length)} more classes`));
  return made;
}

function scale(label) {
  const box = element('div', 'scale'), bar = element('div', 'ramp'), ends = element('div', 'ends soft');
  bar.style.background = `linear-gradient(90deg, ${look.ramp.join(',')})`;
  ends.append(element('span', '', Number(label.low.toPrecision(4))), element('span', '', Number(label.high.toPrecision(4))));
  box.append(bar, ends);
  return box;
}

function facts(row) {
  const table = element('table');
  for (const label of labels) {
    const line = element('tr', label === labels[state.label] ? 'now' : '');
    line.append(element('th', '', label.name), element('td', '', told(label, row)));
    table.append(line);
  }
  return table;
}

function portraits(row, size) {
  const box = element('div', 'portraits');
  for (const stream of pictured) box.append(thumb(row, stream, size, stream));
  return box;
}

// What a sample says: of each stream of text its name and its texts; nothing where it says nothing.
function said(row, most) {
  const box = element('div', 'said');
  for (const stream of captions) {
    const own = stream.texts[row].slice(0, most), more = stream.texts[row].length - own.length + stream.more[row];
    if (!own.length) continue;
    const line = element('p', 'caption');
    line.append(element('span', 'soft', stream.name));
    for (const words of own) line.append(element('q', '', words));
    if (more) line.append(element('span', 'soft', `and ${more} more`));
    box.append(line);
  }
  return box.childElementCount ? [box] : [];
}

// The sounds of a sample, to be played; the page carries them.
function heard(row) {
  const box = element('div', 'heard');
  for (const [stream, own] of Object.entries(content.sounds)) {
    if (!own[row]) continue;
    const line = element('p', 'sound'), player = element('audio');
    player.controls = true;
    player.preload = 'none';
    player.src = own[row];
    line.append(element('span', 'soft', stream), player);
    box.append(line);
  }
  return box.childElementCount ? [box] : [];
}

function tip(event) {
  const box = by('tip'), row = state.hovered;
  box.hidden = row < 0;
  if (row < 0) return;
  box.replaceChildren(portraits(row, 72), ...said(row, 2), element('b', '', content.ids[row]), facts(row));
  const {width, height} = box.getBoundingClientRect();
  const left = event.clientX + 18 + width > window.innerWidth ? event.clientX - width - 18 : event.clientX + 18;
  box.style.left = `${Math.max(4, left)}px`;
  box.style.top = `${Math.max(4, Math.min(event.clientY + 14, window.innerHeight - height - 4))}px`;
}

function sample() {
  const body = by('sample').querySelector('.body'), row = state.picked;
  if (row < 0) {
    body.replaceChildren(element('p', 'soft', 'Click a point or a picture: its nearest neighbours in every space, by cosine of the embeddings.'));
    return;
  }
  const top = element('div', 'top'), words = element('div');
  words.append(element('b', 'id', content.ids[row]), ...said(row, Infinity), ...heard(row), facts(row));
  top.append(portraits(row, 84), words);
  body.replaceChildren(top, ...near.map((n) => neighbours(n, row)).filter(Boolean));
}

function neighbours(n, row) {
  const box = element('div', 'near'), own = n.query === n.key;
  box.dataset.query = n.query;
  box.dataset.key = n.key;
  const head = element('div', 'of', own ? n.key : `${n.query} → ${n.key}`);
  if (!own) head.title = SPACES[n.space];
  const line = element('div', 'line');
  for (let j = 0; j < n.k; j++) {
    const other = n.index[row * n.k + j];
    if (other === NONE) break;
    const made = thumb(other, n.key, 46, other === row ? 'itself' : n.closeness[row * n.k + j].toFixed(2));
    if (other === row) made.classList.add('itself');
    line.append(made);
  }
  if (!line.childElementCount) return null;
  box.append(head, line);
  return box;
}

function selection() {
  const body = by('selection').querySelector('.body');
  const rows = state.selected ? [...state.selected.keys()].filter((r) => state.selected[r]) : [];
  by('clear').disabled = !state.selected;
  if (!state.selected) {
    body.replaceChildren(element('p', 'soft', 'Draw around points in any map, or click a class: the same samples stand out in all maps. Shift adds.'));
    return;
  }
  const step = Math.max(1, rows.length / FEW), some = [];
  for (let i = 0; i < rows.length && some.length < FEW; i += step) some.push(rows[Math.floor(i)]);
  const more = rows.length > some.length ? `; ${number(some.length)} of them, evenly drawn:` : '';
  const line = element('div', 'line');
  line.append(...some.map((row) => thumb(row, state.stream, 44)));
  body.replaceChildren(element('p', 'count', `${number(rows.length)} of ${number(count)} samples${more}`), line);
}
