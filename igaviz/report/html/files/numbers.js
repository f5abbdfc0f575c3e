// The data of the page: the numbers of each run are inflated once, before it is shown.
const data = JSON.parse(document.getElementById('data').textContent);
const pictures = JSON.parse(document.getElementById('pictures').textContent);
const metricByName = new Map(data.metrics.map((metric) => [metric.name, metric]));
const halves = Float64Array.from({ length: 65536 }, (_, bits) => half(bits));

async function inflated(id) {
  const text = atob(document.getElementById(id).textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Stored are the lower bytes of all numbers, then the upper ones.
async function load(run, place) {
  const bytes = await inflated(`numbers-${place}`);
  const count = bytes.length / 2;
  run.numbers = new Uint16Array(count);
  for (let i = 0; i < count; i += 1) run.numbers[i] = bytes[i] | (bytes[count + i] << 8);
  run.verdicts = await inflated(`verdicts-${place}`);
}

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

// The number of one head: NaN where there is none, Infinity for `beyond`.
function valueOf(run, metric, step, row, column) {
  const found = data.runs[run];
  const m = found.metrics.indexOf(metric);
  if (m < 0) return NaN;
  const [L, H] = [found.layers.length, found.heads.length];
  const place = ((m * found.steps.length + step) * L + row) * H + column;
  const stored = halves[found.numbers[place]];
  if (!found.factors[m]) return stored === Infinity ? stored : 10 ** stored;
  return stored * found.factors[m];
}

function verdictOf(run, step, row, column) {
  const found = data.runs[run];
  const place = (step * found.layers.length + row) * found.heads.length + column;
  return found.words[found.verdicts[place]];
}

function short(value) {
  if (value === null || Number.isNaN(value)) return '–';
  if (!Number.isFinite(value)) return 'beyond';
  const size = Math.abs(value);
  if (size !== 0 && (size >= 10000 || size < 0.001)) return value.toExponential(1).replace('.0e', 'e').replaceAll('-', '−').replace('e+', 'e');
  return String(Number(value.toPrecision(size < 0.01 ? 2 : 3))).replace('-', '−');
}

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('aria-') || name === 'scope' || name === 'role') made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}
