// What is given: a text, a file or numbers, by stream.
const fields = all('form[data-stream]');
const files = new Map(); // {form: File}
const LIMIT = Number(document.body.dataset.bytes);
// {sort: {ending: Content-Type}}: what a file is by its name; a browser calls some otherwise, and some not at all.
const ENDINGS = {
  picture: { png: 'image/png', jpg: 'image/jpeg', jpeg: 'image/jpeg', tif: 'image/tiff', tiff: 'image/tiff', webp: 'image/webp', bmp: 'image/bmp', gif: 'image/gif', ppm: 'image/x-portable-pixmap', pgm: 'image/x-portable-pixmap', pnm: 'image/x-portable-pixmap' },
  sound: { wav: 'audio/wav', flac: 'audio/flac', ogg: 'audio/ogg', oga: 'audio/ogg', opus: 'audio/opus', mp3: 'audio/mpeg', aif: 'audio/aiff', aiff: 'audio/aiff' },
  video: { mp4: 'video/mp4', m4v: 'video/mp4', mov: 'video/quicktime', mkv: 'video/x-matroska', webm: 'video/webm', avi: 'video/x-msvideo', mpg: 'video/mpeg', mpeg: 'video/mpeg', ogv: 'video/ogg' },
};
const WORDS = { picture: 'a PNG, JPEG, TIFF, WebP, BMP, GIF or PPM', sound: 'a WAV, FLAC, Ogg, MP3 or AIFF, or a video with sound', video: 'an MP4, MOV, WebM, Matroska, AVI, MPEG or Ogg' };
const name = (form) => form.dataset.stream;
const box = (form) => form.querySelector('textarea');
const accepts = (form, kind) => form.dataset.accepts.split(' ').includes(kind);
const sortOf = (form) => Object.keys(ENDINGS).find((sort) => accepts(form, sort));
const filed = fields.filter(sortOf); // forms that take a file
// {ending: Content-Type} of all that a form takes: a sound may be that of a video.
const known = (form) => Object.assign({}, ...Object.keys(ENDINGS).filter((sort) => accepts(form, sort)).map((sort) => ENDINGS[sort]));

// The Content-Type of a file for a form; '' where it takes none such.
function kindOf(form, file, taken = known(form)) {
  const ending = taken[file.name.split('.').pop().toLowerCase()];
  return ending || (Object.values(taken).includes(file.type) ? file.type : '');
}
// The form of a file that was dropped beside all: of its own sort first, as a video is also taken for its sound.
const homeOf = (file) => filed.find((form) => kindOf(form, file, ENDINGS[sortOf(form)])) || filed.find((form) => kindOf(form, file));

function filled(form) {
  return files.has(form) || Boolean(box(form) && box(form).value.trim());
}

function lines(id) {
  return by(id) ? by(id).value.split(/\n/).map((line) => line.trim()).filter(Boolean) : [];
}

// What the user calls classes; nothing where there are fewer than two.
function naming() {
  const classes = lines('classes'), templates = lines('templates');
  return classes.length < 2 ? {} : { classes, ...(templates.length ? { templates } : {}) };
}

function refresh(form) {
  for (const button of all('.find', form)) button.disabled = !filled(form) || !searchable();
  form.querySelector('.clear').disabled = !filled(form);
  if (by('tell')) by('tell').disabled = !fields.some(filled);
  if (by('name')) by('name').disabled = lines('classes').length < 2 || !fields.some((f) => filled(f) && !accepts(f, 'text'));
}

function take(form, file) {
  if (!kindOf(form, file)) throw new Refused(`${file.name}: ${file.type || 'a file of unknown type'}; expected ${WORDS[sortOf(form)]}`);
  if (file.size > LIMIT) throw new Refused(`${file.name}: ${(file.size / 2 ** 20).toFixed(1)} MiB; the limit is ${(LIMIT / 2 ** 20).toFixed(1)} MiB`);
  files.set(form, file);
  const shown = form.querySelector('.preview');
  if (shown.src) URL.revokeObjectURL(shown.src);
  shown.hidden = false;
  shown.onerror = () => { shown.hidden = true; }; // a browser shows no TIFF, and plays no AIFF
  shown.src = URL.createObjectURL(file);
  if (sortOf(form) === 'picture') shown.alt = `the picture ${file.name}`;
  form.querySelector('.prompt').textContent = file.name || 'a pasted picture';
  if (box(form)) box(form).value = '';
  refresh(form);
}

function clear(form) {
  if (files.delete(form)) {
    const shown = form.querySelector('.preview');
    URL.revokeObjectURL(shown.src);
    shown.removeAttribute('src');
    shown.hidden = true;
    form.querySelector('.prompt').textContent = form.querySelector('.prompt').dataset.empty;
    form.querySelector('.file').value = '';
  }
  if (box(form)) box(form).value = '';
  refresh(form);
}

// Numbers as JSON, or one after the other; of several lines each is a band.
function numbers(form) {
  const words = box(form).value.trim();
  if (/^[[{]/.test(words)) {
    try { return JSON.parse(words); } catch (error) { throw new Refused(`${name(form)}: ${error.message}`); }
  }
  const rows = words.split(/\n+/).map((line) => line.trim().split(/[\s,;]+/).filter(Boolean).map((word) => {
    const value = Number(word);
    if (Number.isNaN(value)) throw new Refused(`${name(form)}: “${word}” is no number`);
    return value;
  }));
  return rows.length > 1 ? rows : rows[0];
}

function base64(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(new Refused(`${file.name}: can't be read`));
    reader.readAsDataURL(file);
  });
}

// [address, request] of what these forms hold; a file alone goes as it is, a third smaller than in JSON.
async function request(path, forms, options) {
  const words = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== '' && value !== null));
  if (forms.length === 1 && files.has(forms[0]) && !words.classes) {
    const query = new URLSearchParams({ stream: name(forms[0]), ...words });
    return [`${path}?${query}`, { method: 'POST', headers: { 'Content-Type': kindOf(forms[0], files.get(forms[0])) }, body: files.get(forms[0]) }];
  }
  const streams = {};
  for (const form of forms) {
    streams[name(form)] = files.has(form) ? await base64(files.get(form)) : accepts(form, 'text') ? box(form).value : numbers(form);
  }
  return [path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ streams, ...words }) }];
}
