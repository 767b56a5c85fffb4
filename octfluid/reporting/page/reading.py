"""What was published elsewhere, and how to read each measure."""

from octfluid.metrics.measures import MEASURES
from octfluid.reporting.page.markup import paragraph, table, text
from octfluid.reporting.published import read_published

SENTENCES = {
    'dice': 'Twice the pixels that are fluid in both, divided by the fluid pixels of prediction and truth together, all images '
    'pooled; large pockets weigh most.',
    'iou': 'The pixels that are fluid in both, divided by those that are fluid in either, all images pooled; never above Dice.',
    'mdice': 'The mean of the Dice of fluid and of background; as background is near 100 % whatever is predicted, finding '
    'nothing at all scores about 50 %.',
    'miou': 'The same mean for IoU, with the same trap.',
    'precision': 'The share of the predicted pixels that are fluid.',
    'recall': 'The share of the fluid pixels that were predicted.',
    'image_dice': 'The Dice of each image with fluid, averaged; images without fluid have no part in it.',
    'subject_dice': 'The Dice of the pooled pixels of each patient, averaged, so that every patient counts the same.',
    'false_positive_rate': 'The share of the images without fluid on which at least one pixel was predicted.',
    'false_positive_px': 'The mean area predicted on images without fluid, in pixels of the scored image.',
    'surface_dice_1px': 'The share of both outlines that lies within one pixel of the other outline, averaged over images with '
    'fluid.',
    'surface_dice_2px': 'The same within two pixels.',
    'hd95_px': 'The distance in pixels within which 95 % of either outline has the other; only where both have fluid, so '
    'missed images do not show in it.',
    'pocket_sensitivity': 'The share of the true pockets of which at least half of the pixels were predicted.',
    'pocket_precision': 'The share of the predicted pockets of which at least half of the pixels are fluid.',
    'area_bias_px': 'The mean of predicted minus true fluid area over the images: above 0, too much is predicted.',
    'area_limit_low_px': 'Bias minus 1.96 standard deviations of these differences.',
    'area_limit_high_px': 'Bias plus 1.96 standard deviations: about 95 % of the differences lie between the two limits.',
    'area_correlation': 'Pearson correlation of predicted and true area; high wherever large areas occur, even with a bias.',
}
"""One sentence a measure, for readers who have never seen it."""

_STANDING = {'read': 'read in the source', 'secondary': 'from a later source', 'recalled': 'widely quoted, not seen'}


def published() -> str:
    """Return the scores of others on the same data set, with what stands against comparing them."""
    rows = [
        [text(row['method']), text(row['protocol']), text(row['score']), text(_STANDING[row['standing']]), text(row['caveat'])]
        for row in read_published('published_fluid.csv')
    ]
    intro = (
        'Fluid Dice on the Duke DME scans as others report it. Scores compare only under the same protocol, and almost no two '
        'of these share one. Ask of every figure how it counts images without fluid, and whether patients stand on both sides '
        'of its split.'
    )
    header = ['method', 'protocol', 'fluid Dice', 'how it is known', 'caveat']
    return paragraph(intro) + table('Published fluid Dice, as fractions', header, rows)


def measures() -> str:
    """Return each measure in a sentence."""
    entries = ''.join(
        f'<div><dt>{text(measure.title)}</dt>\n<dd>{text(SENTENCES[name])}</dd></div>\n' for name, measure in MEASURES.items()
    )
    more = (
        '<p>Definitions, sources, and how empty masks are treated: <a href="../metrics.md">docs/metrics.md</a>. Intervals come '
        'from drawing patients, and seeds within each draw, with replacement; a p-value from exchanging the two sides patient '
        'by patient. With about ten patients, intervals are somewhat too narrow. mm² are at the nominal scale of the data set, '
        'as the true lateral scale varies by patient and is not in its files.</p>\n'
    )
    return f'{more}<dl class="measures">\n{entries}</dl>\n'
