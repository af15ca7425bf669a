// The whole run in a strip: who led in which term, when faults struck, and which part is on the screen.

import { SMALL_FONT, Surface, axisStep } from "./canvas";
import { termColour, type Theme } from "./theme";
import type { View } from "./view";

const LEFT = 44;

export class Overview {
  readonly surface: Surface;
  /** The part that does not move with the cursor, drawn once. */
  private still: HTMLCanvasElement | undefined;
  private stillOf = "";

  constructor(canvas: HTMLCanvasElement) {
    this.surface = new Surface(canvas);
  }

  x(view: View, time: number): number {
    return LEFT + (time / view.model.end) * (this.surface.width - LEFT - 4);
  }

  time(view: View, x: number): number {
    return ((x - LEFT) / Math.max(1, this.surface.width - LEFT - 4)) * view.model.end;
  }

  draw(view: View, theme: Theme, version: number): void {
    const context = this.surface.begin(theme);
    const { width, height } = this.surface;
    const key = `${version} ${width} ${height} ${theme.isDark} ${window.devicePixelRatio}`;
    if (this.stillOf !== key || !this.still) {
      this.drawStill(context, view, theme);
      this.still = document.createElement("canvas");
      this.still.width = this.surface.canvas.width;
      this.still.height = this.surface.canvas.height;
      this.still.getContext("2d")!.drawImage(this.surface.canvas, 0, 0);
      this.stillOf = key;
    } else {
      context.drawImage(this.still, 0, 0, width, height);
    }
    const [left, right] = [this.x(view, Math.max(0, view.from)), this.x(view, view.from + view.span)];
    context.fillStyle = theme.text;
    context.globalAlpha = 0.08;
    context.fillRect(left, 0, right - left, height);
    context.globalAlpha = 1;
    context.strokeStyle = theme.faint;
    context.strokeRect(left + 0.5, 0.5, Math.max(2, Math.min(right, width) - left - 1), height - 1);
    const x = Math.round(this.x(view, view.time)) + 0.5;
    context.strokeStyle = theme.cursor;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, height);
    context.stroke();
  }

  private drawStill(context: CanvasRenderingContext2D, view: View, theme: Theme): void {
    const { height, width } = this.surface;
    const { run } = view.model;
    const { role, term } = run.tables.states;
    const bar = (height - 16) / run.machines;
    for (let place = 0; place < run.machines; place += 1) {
      view.model.stretches(place, 0, view.model.end, (from, to, row) => {
        const [left, right] = [this.x(view, from), this.x(view, to)];
        if (role[row] === 4) {
          context.fillStyle = termColour(theme, term[row]!);
          context.fillRect(left, place * bar + 1, Math.max(1, right - left), bar - 1);
        } else if (role[row] === 0) {
          context.fillStyle = theme.line;
          context.fillRect(left, place * bar + 1, Math.max(1, right - left), bar - 1);
        }
      });
    }
    const { at } = run.tables.faults;
    context.fillStyle = theme.alarm;
    for (let row = 0; row < at.length; row += 1) {
      context.fillRect(this.x(view, at[row]!), height - 15, 1, 4);
    }
    if (run.failure) {
      context.fillRect(this.x(view, view.model.end) - 2, 0, 4, height);
    }
    context.font = SMALL_FONT;
    context.fillStyle = theme.faint;
    context.fillText("leaders", 4, (height - 16) / 2);
    const step = axisStep(view.model.end, width - LEFT);
    for (let time = 0; time <= view.model.end; time += step) {
      context.fillText(`${+(time / 1e9).toFixed(3)} s`, this.x(view, time) + 2, height - 5);
    }
  }
}
