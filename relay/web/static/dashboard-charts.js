/** Small charts, and the figures that come from two snapshots. */

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 60;

/** A chart of the last minutes: a line for each series. */
export class Chart {
  constructor(parent, title, series, most) {
    this.title = title;
    this.series = series;
    this.most = most;
    this.values = series.map(() => []);
    const figure = document.createElement("figure");
    this.caption = document.createElement("figcaption");
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("role", "img");
    this.lines = series.map((_, number) => {
      const line = document.createElementNS(SVG, "polyline");
      line.setAttribute("class", `line-${number}`);
      this.svg.append(line);
      return line;
    });
    figure.append(this.caption, this.svg);
    parent.append(figure);
  }

  add(...latest) {
    latest.forEach((value, number) => {
      this.values[number].push(value);
      if (this.values[number].length > this.most) this.values[number].shift();
    });
    const top = Math.max(1, ...this.values.flat());
    this.values.forEach((values, number) => this.lines[number].setAttribute("points", this.points(values, top)));
    const told = this.series.map((name, number) => `${name} ${short(latest[number])}`).join(", ");
    this.caption.textContent = `${this.title}: ${told}; most ${short(top)}`;
    this.svg.setAttribute("aria-label", this.caption.textContent);
  }

  points(values, top) {
    const step = WIDTH / (this.most - 1);
    const first = WIDTH - (values.length - 1) * step;
    const y = (value) => HEIGHT - 2 - (value / top) * (HEIGHT - 4);
    return values.map((value, number) => `${(first + number * step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  }
}

/** Like 950, 1.2k, 3.4M. */
export function short(number) {
  if (number < 1000) return String(Math.round(number * 10) / 10);
  const power = Math.min(3, Math.floor(Math.log10(number) / 3));
  return `${(number / 1000 ** power).toPrecision(3)}${" kMG"[power]}`;
}

/**
 * The seconds that a share of the values is below, found between the bounds of its bucket.
 *
 * Returns null without values, and Infinity above the last bound.
 */
export function quantile(share, counts, bounds) {
  const all = counts.reduce((sum, count) => sum + count, 0);
  let left = share * all;
  if (!all) return null;
  for (const [number, count] of counts.entries()) {
    const below = number ? bounds[number - 1] : 0;
    if (left <= count && count) return number < bounds.length ? below + ((bounds[number] - below) * left) / count : Infinity;
    left -= count;
  }
  return Infinity;
}
