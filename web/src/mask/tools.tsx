// The editor's toolbar.

export type Tool = 'brush' | 'eraser' | 'rect' | 'lasso' | 'pan';

export const TOOLS: { tool: Tool; label: string; key: string }[] = [
  { tool: 'brush', label: 'Brush', key: 'b' },
  { tool: 'eraser', label: 'Eraser', key: 'e' },
  { tool: 'rect', label: 'Rectangle', key: 'r' },
  { tool: 'lasso', label: 'Lasso', key: 'l' },
  { tool: 'pan', label: 'Move', key: 'h' },
];

/** The brush's diameter in pixels of the preview. */
export const [LEAST_BRUSH, MOST_BRUSH] = [2, 600];

interface Props {
  tool: Tool;
  setTool: (tool: Tool) => void;
  brush: number;
  setBrush: (brush: number) => void;
  canUndo: boolean;
  canRedo: boolean;
  undo: () => void;
  redo: () => void;
  invert: () => void;
  clear: () => void;
  zoomBy: (factor: number) => void;
  fit: () => void;
  takeFile: (file: File | undefined) => void;
}

export function Toolbar({ tool, setTool, brush, setBrush, takeFile, ...props }: Props) {
  const choose = (event: Event) => {
    const input = event.currentTarget as HTMLInputElement;
    takeFile(input.files?.[0]);
    input.value = '';
  };
  return (
    <div class="tools" role="toolbar" aria-label="Mask tools">
      <div class="group" role="group" aria-label="Tool">
        {TOOLS.map(({ tool: one, label, key }) => (
          <button type="button" key={one} aria-pressed={tool === one} title={`${label} (${key.toUpperCase()})`} onClick={() => setTool(one)}>
            {label}
          </button>
        ))}
      </div>
      <label class="size">
        <span>Size</span>
        <input type="range" min={LEAST_BRUSH} max={MOST_BRUSH} value={brush} onInput={(event) => setBrush(Number(event.currentTarget.value))} />
      </label>
      <div class="group">
        <button type="button" onClick={props.undo} disabled={!props.canUndo} title="Undo (Ctrl+Z)">
          Undo
        </button>
        <button type="button" onClick={props.redo} disabled={!props.canRedo} title="Redo (Ctrl+Shift+Z)">
          Redo
        </button>
        <button type="button" onClick={props.invert} title="Invert (I)">
          Invert
        </button>
        <button type="button" onClick={props.clear}>
          Clear
        </button>
      </div>
      <div class="group">
        <button type="button" onClick={() => props.zoomBy(0.8)} aria-label="Zoom out" title="Zoom out (-)">
          −
        </button>
        <button type="button" onClick={props.fit} title="Fit (0)">
          Fit
        </button>
        <button type="button" onClick={() => props.zoomBy(1.25)} aria-label="Zoom in" title="Zoom in (+)">
          +
        </button>
      </div>
      <label class="button file">
        <input type="file" accept="image/*" onChange={choose} />
        Mask file
      </label>
    </div>
  );
}
