// Rings around samples, on a sheet above each map: what is pointed at, what was picked, what is near it there.
const HOVERED = '#1d2430', PICKED = '#c2185b';

function rings() {
  const ratio = window.devicePixelRatio || 1;
  panels.forEach((p, i) => {
    const over = overs[i], pen = over.getContext('2d'), {width, height} = plots[i]._fullLayout;
    if (over.width !== Math.round(width * ratio) || over.height !== Math.round(height * ratio)) {
      [over.width, over.height] = [Math.round(width * ratio), Math.round(height * ratio)];
      [over.style.width, over.style.height] = [`${width}px`, `${height}px`];
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const own = near.find((n) => n.query === p.name && n.key === p.name);
    if (state.picked >= 0 && own) {
      for (let j = 0; j < own.k; j++) ring(pen, i, own.index[state.picked * own.k + j], size / 2 + 3, 1.2, HOVERED);
    }
    ring(pen, i, state.picked, size / 2 + 5, 2.6, PICKED);
    ring(pen, i, state.hovered, size / 2 + 5, 2.2, HOVERED);
  });
}

// Where a sample is in a map, in pixels; null where it is outside, or lacks the modality.
function where(i, row) {
  const p = panels[i], k = row >= 0 && row < count ? p.place[row] : -1;
  if (k < 0) return null;
  const {width, height, xaxis, yaxis} = plots[i]._fullLayout, [x, y] = [xaxis.range, yaxis.range];
  const across = (p.x[k] - x[0]) / (x[1] - x[0]), up = (p.y[k] - y[0]) / (y[1] - y[0]);
  if (across < 0 || across > 1 || up < 0 || up > 1) return null;
  return [1 + across * (width - 2), 1 + (1 - up) * (height - 2)];
}

function ring(pen, i, row, radius, width, colour) {
  const at = where(i, row);
  if (!at) return;
  pen.beginPath();
  pen.arc(at[0], at[1], radius, 0, 2 * Math.PI);
  pen.lineWidth = width + 2;
  pen.strokeStyle = 'rgba(255,255,255,.85)';
  pen.stroke();
  pen.lineWidth = width;
  pen.strokeStyle = colour;
  pen.stroke();
}
