// What happens when.
function select(test, add) {
  const before = add && state.selected ? state.selected : null, made = new Uint8Array(count);
  let some = false;
  for (let row = 0; row < count; row++) {
    if ((before && before[row]) || test(row)) { made[row] = 1; some = true; }
  }
  state.selected = some ? made : null;
  key();
  selection();
  return mark().then(rings);
}

function clear() {
  by('find').value = '';
  by('found').textContent = '';
  return select(() => false, false);
}

function hover(row, event) {
  state.hovered = row;
  tip(event);
  rings();
}

function pick(row) {
  state.picked = row;
  sample();
  rings();
}

function colour(label) {
  state.label = label;
  titles();
  key();
  sample();
  selection();
  return paint().then(rings);
}

const hay = [];

// What a search looks through: the id of a sample and all that it says.
function haystack(row) {
  hay[row] ??= [content.ids[row], ...captions.flatMap((stream) => stream.texts[row])].join('\n').toLowerCase();
  return hay[row];
}

function find(words) {
  const wanted = words.trim().toLowerCase();
  if (!wanted) return clear();
  const hit = (row) => haystack(row).includes(wanted);
  const rows = content.ids.map((_, row) => row).filter(hit);
  by('found').textContent = `${number(rows.length)} found`;
  if (rows.length === 1) pick(rows[0]);
  return select(hit, false);
}

function options(box, names) {
  box.replaceChildren(...names.map((name, i) => { const made = element('option', '', name); made.value = i; return made; }));
}

let shift = false;

function follow(plot, i) {
  const row = (point) => panels[i].rows[point.pointNumber];
  plot.on('plotly_hover', (event) => hover(row(event.points[0]), event.event));
  plot.on('plotly_unhover', () => hover(-1));
  plot.on('plotly_click', (event) => pick(row(event.points[0])));
  plot.on('plotly_relayouting', rings);
  plot.on('plotly_relayout', rings);
  plot.on('plotly_selected', (event) => {
    if (!event || !(event.range || event.lassoPoints)) return;
    const chosen = new Set(event.points.map(row));
    select((r) => chosen.has(r), shift);
  });
}

function listen() {
  let pause = 0;
  const later = (act, wait, ...words) => { clearTimeout(pause); pause = setTimeout(act, wait, ...words); };
  // not of the keyboard: Plotly tells of a selection some time after the button was let go, and shift may be up by then
  for (const kind of ['mousedown', 'mouseup']) {
    window.addEventListener(kind, (event) => { shift = event.shiftKey; }, true);
  }
  plots.forEach(follow);
  for (const button of document.querySelectorAll('[data-tool]')) {
    button.addEventListener('click', () => {
      for (const other of document.querySelectorAll('[data-tool]')) other.setAttribute('aria-pressed', other === button);
      drag(button.dataset.tool);
    });
  }
  by('reset').addEventListener('click', whole);
  by('clear').addEventListener('click', clear);
  by('label').addEventListener('change', (event) => colour(Number(event.target.value)));
  by('picture').addEventListener('change', (event) => { state.stream = pictured[event.target.value]; sample(); selection(); });
  by('find').addEventListener('input', (event) => later(find, 250, event.target.value));
  document.querySelector('main').addEventListener('click', (event) => {
    const box = event.target.closest('.thumb');
    if (box) pick(Number(box.dataset.row));
  });
  document.querySelector('main').addEventListener('mouseover', (event) => {
    const box = event.target.closest('.thumb');
    if (box || state.hovered >= 0) hover(box ? Number(box.dataset.row) : -1, event);
  });
  window.addEventListener('resize', () => later(resize, 150));
}

by('title').textContent = content.title;
const some = content.total > count ? `${number(count)} of ${number(content.total)}, drawn` : number(count);
by('facts').textContent = `${some} samples · ${panels.length} ${panels.length > 1 ? 'spaces' : 'space'} by ${content.method} of unit vectors`
  + (webgl ? '' : ' · drawn without WebGL, which this browser lacks: many points are slow');
options(by('label'), labels.map((l) => l.name));
options(by('picture'), pictured);
if (captions.length) by('find').placeholder = 'id or words';
by('pick-picture').hidden = pictured.length < 2;
build().then(() => {
  listen();
  titles();
  key();
  sample();
  selection();
  rings();
  document.body.dataset.ready = 'yes';
});
