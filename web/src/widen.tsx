// The frame in numbers, for keys and exactness.

import { SIDES, type Sides, length, mostPercent } from './mask/view';
import { NumberField } from './number';

export function Widen({ sides, setSides, picture }: { sides: Sides; setSides: (sides: Sides) => void; picture: ImageBitmap }) {
  return (
    <fieldset>
      <legend>Widen, in % of the photo</legend>
      <div class="sides">
        {SIDES.map((side) => (
          <NumberField
            key={side}
            label={side[0]!.toUpperCase() + side.slice(1)}
            least={0}
            most={mostPercent(side, sides, picture)}
            value={Math.round((100 * sides[side]) / length(side, picture))}
            set={(percent) => setSides({ ...sides, [side]: (percent / 100) * length(side, picture) })}
          />
        ))}
      </div>
      <small>The result may have four times the photo's area.</small>
    </fieldset>
  );
}
