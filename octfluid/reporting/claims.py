"""The paper's conclusions about fine-tuning, and the two groups of runs that test each."""

from dataclasses import dataclass

HIGHER, LOWER, NO_BETTER, FAILS = 'higher', 'lower', 'no better', 'fails'


@dataclass(frozen=True)
class Claim:
    """A conclusion and the two groups of runs that test it.

    Attributes:
        text: The conclusion.
        arm: A row of table 2 (int), or the stem of a config in ``configs/ablations``.
        reference: The same, of the runs that the arm is compared with.
        direction: What the conclusion says of the arm's fluid Dice: `HIGHER`, `LOWER` or `NO_BETTER` than the reference's, or
            that it `FAILS` by itself where the reference does not.
        from_scratch: The reference starts from random weights; otherwise both start from the same vessel weights.
    """

    text: str
    arm: int | str
    reference: int | str
    direction: str
    from_scratch: bool = False

    @property
    def compared(self) -> str:
        """The two sides in words."""
        names = [f'row {side}' if isinstance(side, int) else f'`{side}`' for side in (self.arm, self.reference)]
        return f'{names[0]} minus {names[1]}' + (' from scratch' if self.from_scratch else '')


CLAIMS = (
    Claim('Transfer works: vessel weights beat random ones', 10, 10, HIGHER, from_scratch=True),
    Claim('and still do after 4 000 iterations', 'row10_4000', 'row10_4000', HIGHER, from_scratch=True),
    Claim('A crop of 320 helps', 6, 2, HIGHER),
    Claim('A horizontal flip hurts', 3, 2, LOWER),
    Claim('Dice loss is no better than cross-entropy', 7, 6, NO_BETTER),
    Claim('Focal loss is no better than cross-entropy', 8, 6, NO_BETTER),
    Claim('Adam with learning rate 0.01 fails', 9, 6, FAILS),
    Claim('Less weight decay, 1e-4, is better than 5e-4', 10, 6, HIGHER),
    Claim('More weight decay, 1e-3, is worse than 5e-4', 11, 6, LOWER),
    Claim('Without a crop, 400 iterations are worse than 200 (by its rows; its text expects more to help)', 2, 1, LOWER),
    Claim('PSPNet is the head to fine-tune: FCN is worse', 'fcn_head', 10, LOWER),
    Claim('PSPNet is the head to fine-tune: DeepLabV3 is worse', 'deeplabv3_head', 10, LOWER),
    Claim('Random rotation helps (in its text, in none of its rows)', 'rotate15', 10, HIGHER),
    Claim('CE + Dice, 0.75 to 0.25, improves on CE (its future work)', 'ce_dice_75_25', 10, HIGHER),
    Claim('CE + Dice, 0.5 to 0.5, improves on CE (its future work)', 'ce_dice_50_50', 10, HIGHER),
    Claim('CE + Dice, 0.25 to 0.75, improves on CE (its future work)', 'ce_dice_25_75', 10, HIGHER),
)
