// Pictures, cut from their sheets.
const sheets = {};
for (const stream of Object.keys(pictures ? pictures.sheets : {})) {
  sheets[stream] = pictures.sheets[stream].map((source) => {
    const image = new Image();
    image.src = source;
    return image;
  });
}
const pictured = Object.keys(sheets);
state.stream = pictured[0] || '';

// The stream whose picture stands for a space: its own, else (fused, a spectrum) the one that was chosen.
const shown = (name) => (pictured.includes(name) ? name : state.stream);

function thumb(row, name, size, words) {
  const box = element('button', 'thumb');
  box.type = 'button';
  box.dataset.row = row;
  box.style.setProperty('--shade', shade(labels[state.label], row));
  const stream = shown(name), tile = stream && !missing(row, stream) ? pictures.place[row] : -1;
  const own = !pictured.includes(name) && captions.find((c) => c.name === name);
  if (own && own.texts[row].length) box.append(spoken(own.texts[row][0], size));
  else box.append(tile < 0 ? blank(row, stream, size) : picture(stream, tile, size));
  if (words !== undefined) box.append(element('span', 'words', words));
  return box;
}

// A stream of text has no picture: its words stand there.
function spoken(words, size) {
  const box = element('span', 'blank spoken', words);
  box.title = words;
  box.style.width = `${2 * size}px`;
  box.style.height = `${size}px`;
  return box;
}

function blank(row, stream, size) {
  const gone = stream && missing(row, stream);
  const box = element('span', 'blank', gone ? `no ${stream}` : content.ids[row].split('/').pop());
  box.style.width = box.style.height = `${size}px`;
  return box;
}

function picture(stream, tile, size) {
  const canvas = element('canvas'), image = sheets[stream][Math.floor(tile / pictures.per)];
  canvas.width = canvas.height = pictures.size;
  canvas.style.width = canvas.style.height = `${size}px`;
  const at = tile % pictures.per, s = pictures.size;
  const draw = () => canvas.getContext('2d').drawImage(
    image, (at % pictures.columns) * s, Math.floor(at / pictures.columns) * s, s, s, 0, 0, s, s,
  );
  if (image.complete && image.naturalWidth) draw(); else image.addEventListener('load', draw, {once: true});
  return canvas;
}
