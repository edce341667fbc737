"""MS-COCO with Karpathy's split."""

from fico.datasets.karpathy.coco_instances import find_instances, instance_labels
from fico.datasets.karpathy.karpathy import Karpathy
from fico.datasets.labels import LabelFile
from fico.datasets.recipes.coco import RECIPE


class Coco(Karpathy):
    """MS-COCO 2014 in Karpathy's split, from the folders of its release of 2014 or of 2017.

    Next to ``dataset_coco.json`` the folder holds the images, in ``train2014/`` and ``val2014/`` or in ``train2017/``
    and ``val2017/``, also below ``images/``: both releases have the same images under the same numbers. The 80 labels
    come from ``labels.npz`` or from ``annotations/instances_*.json``, in ascending order of their category ids.

    Args: as for `Karpathy`.

    Raises:
        DataError: The folder or its JSON is missing.

    Source:
        Lin et al., ECCV 2014; split of Karpathy and Fei-Fei, CVPR 2015. ``train`` holds ``restval`` too: 113,287
        images, and 5,000 each in ``val`` and ``test``, where 25,010 captions stand for 25,000 at five an image.
    """

    layout = RECIPE.layout

    def _label_file(self) -> LabelFile | None:
        files = find_instances(self.root)
        return super()._label_file() or (instance_labels(files) if files else None)
