// Colours. Terms take turns in the palette of Okabe and Ito, which people with any kind of colour vision can
// tell apart. No colour stands alone: a role has its letter and height too, a term its number, and the fate of a
// message its line and its mark.

export interface Theme {
  isDark: boolean;
  background: string;
  panel: string;
  text: string;
  faint: string;
  line: string;
  cursor: string;
  alarm: string;
  chosen: string;
  terms: string[];
  /** Text on the colour of a term. */
  onTerm: string[];
}

const LIGHT: Theme = {
  isDark: false,
  background: "#ffffff",
  panel: "#f6f7f9",
  text: "#1b1f24",
  faint: "#6a737d",
  line: "#d5d9de",
  cursor: "#1b1f24",
  alarm: "#b42318",
  chosen: "#7a3ef0",
  terms: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6d1f"],
  onTerm: ["#ffffff", "#ffffff", "#ffffff", "#1b1f24", "#1b1f24", "#1b1f24", "#ffffff"],
};

const DARK: Theme = {
  isDark: true,
  background: "#14171b",
  panel: "#1c2026",
  text: "#e6e9ed",
  faint: "#9aa4af",
  line: "#343a42",
  cursor: "#f2f4f6",
  alarm: "#ff7a70",
  chosen: "#b794ff",
  terms: ["#4aa3df", "#f08a4b", "#2fc29a", "#e29cc3", "#8fd0f5", "#f0b73a", "#cdb46a"],
  onTerm: ["#14171b", "#14171b", "#14171b", "#14171b", "#14171b", "#14171b", "#14171b"],
};

export function theme(isDark: boolean): Theme {
  return isDark ? DARK : LIGHT;
}

export function termColour(theme: Theme, term: number): string {
  return term === 0 ? theme.faint : theme.terms[(term - 1) % theme.terms.length]!;
}

export function onTermColour(theme: Theme, term: number): string {
  return theme.onTerm[(Math.max(term, 1) - 1) % theme.onTerm.length]!;
}
