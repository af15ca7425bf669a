// A canvas whose pixels are those of the screen, and the drawing that several parts share.

import type { Theme } from "./theme";

export const FONT = "12px system-ui, sans-serif";
export const SMALL_FONT = "10px system-ui, sans-serif";

export class Surface {
  readonly context: CanvasRenderingContext2D;
  width = 0;
  height = 0;

  constructor(readonly canvas: HTMLCanvasElement) {
    this.context = canvas.getContext("2d", { alpha: false })!;
  }

  /** Gives the canvas its size on the page, and clears it. */
  begin(theme: Theme): CanvasRenderingContext2D {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const [real, tall] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== real || this.canvas.height !== tall) {
      this.canvas.width = real;
      this.canvas.height = tall;
    }
    [this.width, this.height] = [width, height];
    const context = this.context;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = theme.background;
    context.fillRect(0, 0, width, height);
    context.font = FONT;
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.lineWidth = 1;
    context.setLineDash([]);
    context.globalAlpha = 1;
    return context;
  }
}

/** Slanted lines over a rectangle: what is down, or not committed, without a colour of its own. */
export function hatch(
  context: CanvasRenderingContext2D,
  [x, y, width, height]: [number, number, number, number],
  colour: string,
  step = 6,
): void {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.strokeStyle = colour;
  context.beginPath();
  const first = Math.floor((x - height) / step) * step;
  for (let at = first; at < x + width; at += step) {
    context.moveTo(at, y + height);
    context.lineTo(at + height, y);
  }
  context.stroke();
  context.restore();
}

/** Text that ends with dots where it does not fit. */
export function fitted(context: CanvasRenderingContext2D, text: string, width: number): string {
  if (width < 12) {
    return "";
  }
  if (context.measureText(text).width <= width) {
    return text;
  }
  let [low, high] = [0, text.length];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (context.measureText(`${text.slice(0, middle)}…`).width <= width) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low === 0 ? "" : `${text.slice(0, low)}…`;
}

/** A step of a time axis that is 1, 2 or 5 times a power of ten, so that labels have `room`. */
export function axisStep(span: number, width: number, room = 90): number {
  const raw = (span * room) / Math.max(width, 1);
  const power = 10 ** Math.floor(Math.log10(Math.max(raw, 1)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= raw)!;
}
