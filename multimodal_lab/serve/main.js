// What happens when.
const texts = new Set(fields.filter((form) => accepts(form, 'text')).map(name));
let gallery = { state: 'building', done: 0, total: 0 };
let running = null;

function searchable() {
  return gallery.state === 'ready';
}

function wrong(message) {
  by('wrong').textContent = message;
  by('wrong').hidden = !message;
}

// On a phone the answers lie below the question.
function show() {
  const top = by('answers').getBoundingClientRect().top;
  if (top > 0.6 * window.innerHeight) by('answers').scrollIntoView({ block: 'start' });
}

// Ask one or two questions at once; a newer question takes the place of one that is not answered yet.
async function put(questions, doing) {
  if (running) running.abort();
  const mine = new AbortController();
  running = mine;
  wrong('');
  by('answers').setAttribute('aria-busy', 'true');
  by('said').textContent = `${doing}…`;
  try {
    const began = performance.now();
    const answers = await Promise.all(questions.map(async ([path, forms, options, show]) => {
      const [address, sent] = await request(path, forms, options);
      const answer = await ask(address, { ...sent, signal: mine.signal });
      return [answer, show];
    }));
    if (running !== mine) return;
    by('heads').replaceChildren();
    by('results').replaceChildren();
    const said = answers.map(([answer, show]) => show(answer)).filter(Boolean);
    notes(...answers.map(([answer]) => answer));
    by('said').textContent = `${said.join(' · ')} in ${number(Math.round(performance.now() - began))} ms (${costs(answers.map(([answer]) => answer))})`;
    show();
  } catch (error) {
    if (running !== mine || error.name === 'AbortError') return;
    by('said').textContent = 'No answer.';
    wrong(error instanceof Refused ? error.message : `${error.name}: ${error.message}`);
    show();
  } finally {
    if (running === mine) { by('answers').setAttribute('aria-busy', 'false'); running = null; }
  }
}

function finding(form) {
  return ['/api/retrieve', [form], { top_k: Number(by('k').value), of: by('of').value, split: by('split').value }, (answer) => {
    results(answer, texts);
    return `${answer.results.length} nearest of ${answer.of} to ${answer.by}`;
  }];
}

function telling(forms) {
  return ['/api/predict', forms, naming(), (answer) => { heads(answer); return 'classes told'; }];
}

// The forms that are asked together: one file of all bands stands alone.
function given() {
  const file = fields.find((form) => name(form) === 'file' && filled(form));
  return file ? [file] : fields.filter(filled);
}

function tell() {
  if (given().length) put([telling(given())], 'Asking');
}

function find(form) {
  if (filled(form) && searchable()) put([finding(form)], 'Searching');
}

// A file that was just given: all that can be said of it.
function give(form, file) {
  try {
    take(form, file);
  } catch (error) {
    wrong(error.message);
    return;
  }
  const told = by('tell') || naming().classes;
  const questions = [...(searchable() ? [finding(form)] : []), ...(told ? [telling(given())] : [])];
  if (questions.length) put(questions, 'Looking');
}

function choices(select, first, names) {
  const kept = select.value;
  select.replaceChildren(...[['', first], ...names.map((one) => [one, one])].map(([value, text]) => {
    const made = element('option', '', text);
    made.value = value;
    return made;
  }));
  select.value = names.includes(kept) ? kept : '';
}

function state(found) {
  gallery = found;
  const line = by('state'), bar = by('state-bar');
  line.hidden = found.state === 'ready';
  line.classList.toggle('bad', found.state === 'failed');
  bar.hidden = found.state === 'failed';
  if (found.total) bar.value = found.done / found.total; else bar.removeAttribute('value');
  const said = found.state === 'failed' ? `Nothing to search in: ${found.message}`
    : found.total ? `Embedding ${found.what}: ${number(found.done)} of ${number(found.total)}` : `Opening ${found.what}`;
  if (by('state-text').textContent !== said) by('state-text').textContent = said;
  if (found.state === 'ready') {
    choices(by('of'), 'the other stream', found.spaces);
    choices(by('split'), 'all', found.splits);
    by('split').closest('label').hidden = found.splits.length < 2;
    document.body.dataset.ready = 'yes';
  }
  fields.forEach(refresh);
}

async function follow() {
  try {
    state((await ask('/api/health')).gallery);
  } catch (error) {
    wrong(error.message);
  }
  if (gallery.state === 'building') setTimeout(follow, 700);
}

for (const form of fields) {
  form.addEventListener('submit', (event) => { event.preventDefault(); find(form); });
  form.addEventListener('input', () => refresh(form));
  form.querySelector('.clear').addEventListener('click', () => { clear(form); (box(form) || form.querySelector('.file')).focus(); });
  if (accepts(form, 'text')) {
    box(form).addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); find(form); }
    });
  }
}
for (const form of filed) {
  form.querySelector('.file').addEventListener('change', (event) => { if (event.target.files.length) give(form, event.target.files[0]); });
}
// Where a file is dropped: on the form below it, else on the first.
const over = (event) => filed.find((form) => form.contains(event.target)) || filed[0];
const home = (event, file) => filed.find((form) => form.contains(event.target)) || homeOf(file) || filed[0];
for (const kind of ['dragover', 'dragleave', 'drop']) {
  document.addEventListener(kind, (event) => {
    if (!filed.length || !event.dataTransfer || ![...event.dataTransfer.types].includes('Files')) return;
    event.preventDefault(); // or the browser would leave the page for the file
    for (const form of filed) form.querySelector('.drop').classList.toggle('over', kind === 'dragover' && form === over(event));
    if (kind === 'drop' && event.dataTransfer.files.length) give(home(event, event.dataTransfer.files[0]), event.dataTransfer.files[0]);
  });
}
document.addEventListener('paste', (event) => {
  const file = [...(event.clipboardData ? event.clipboardData.files : [])].find((one) => one.type.startsWith('image/'));
  const form = filed.find((one) => accepts(one, 'picture'));
  if (file && form) { event.preventDefault(); give(form, file); }
});
if (by('tell')) by('tell').addEventListener('click', tell);
if (by('naming')) {
  by('naming').addEventListener('submit', (event) => { event.preventDefault(); tell(); });
  by('naming').addEventListener('input', () => fields.forEach(refresh));
}
by('k').addEventListener('keydown', (event) => { if (event.key === 'Enter') { const form = fields.find(filled); if (form) find(form); } });
fields.forEach(refresh);
follow();
