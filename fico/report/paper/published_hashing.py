"""Published results of cross-modal hashing, as their papers state them. What is not known is None, never filled in.

Source:
    UCCH: TPAMI 2023, Tables 1 and 2. DJSRH: ICCV 2019, the table of the authors' repository (its row UDCMH too).
    DCMH: CVPR 2017, Tables 3 and 4. QDCMH: Comput. Intell. Neurosci. 2021, 9968716, Table 2, which trained the others
    anew. CCAH: Int. J. Intell. Syst. 2023, 7992047, Table 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

BITS = (16, 32, 64, 128)
Cut = Literal["all", "50"]
Values = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """One method in one paper.

    Args:
        method: Its name.
        source: The paper that states the numbers, which need not be the method's own.
        cut: Whether mAP is over the whole database, or over the first 50 and divided by the relevant items among them.
        i2t: Fractions by `BITS`, images as queries.
        t2i: The same, texts as queries.
    """

    method: str
    source: str
    cut: Cut
    i2t: Values
    t2i: Values


PUBLISHED: Mapping[str, tuple[Published, ...]] = {
    "mirflickr": (
        Published("CVH", "UCCH", "all", (0.620, 0.608, 0.594, 0.583), (0.629, 0.615, 0.599, 0.587)),
        Published("FSH", "UCCH", "all", (0.581, 0.612, 0.635, 0.662), (0.576, 0.607, 0.635, 0.660)),
        Published("DLFH", "UCCH", "all", (0.638, 0.658, 0.677, 0.684), (0.675, 0.700, 0.718, 0.725)),
        Published("UGACH", "UCCH", "all", (0.685, 0.693, 0.704, 0.702), (0.673, 0.676, 0.686, 0.690)),
        Published("DJSRH", "UCCH", "all", (0.652, 0.697, 0.700, 0.716), (0.662, 0.691, 0.683, 0.695)),
        Published("JDSH", "UCCH", "all", (0.724, 0.734, 0.741, 0.745), (0.710, 0.720, 0.733, 0.720)),
        Published("DGCPN", "UCCH", "all", (0.711, 0.723, 0.737, 0.748), (0.695, 0.707, 0.725, 0.731)),
        Published("UCH", "UCCH", "all", (0.654, 0.669, 0.679, None), (0.661, 0.667, 0.668, None)),
        Published("UCCH", "UCCH", "all", (0.739, 0.744, 0.754, 0.760), (0.725, 0.725, 0.743, 0.747)),
        Published("DJSRH", "DJSRH", "50", (0.810, 0.843, 0.862, 0.876), (0.786, 0.822, 0.835, 0.847)),
        Published("UDCMH", "DJSRH", "50", (0.689, 0.698, 0.714, 0.717), (0.692, 0.704, 0.718, 0.733)),
        Published("DSAH", "CCAH", "50", (0.863, 0.877, 0.895, 0.903), (0.846, 0.860, 0.881, 0.882)),
        Published("DCMH", "DCMH", "all", (0.7410, 0.7465, 0.7485, None), (0.7827, 0.7900, 0.7932, None)),
        Published("DCMH", "QDCMH", "all", (0.7316, 0.7343, 0.7446, None), (0.7607, 0.7737, 0.7805, None)),
        Published("PRDH", "QDCMH", "all", (0.6952, 0.7072, 0.7108, None), (0.7626, 0.7718, 0.7755, None)),
        Published("SSAH", "QDCMH", "all", (0.7745, 0.7882, 0.7990, None), (0.7860, 0.7974, 0.7910, None)),
        Published("QDCMH", "QDCMH", "all", (0.7635, 0.7688, 0.7713, None), (0.7762, 0.7725, 0.7859, None)),
    ),
    "nuswide": (
        Published("CVH", "UCCH", "all", (0.487, 0.495, 0.456, 0.419), (0.470, 0.475, 0.444, 0.412)),
        Published("FSH", "UCCH", "all", (0.557, 0.565, 0.598, 0.635), (0.569, 0.604, 0.651, 0.666)),
        Published("DLFH", "UCCH", "all", (0.385, 0.399, 0.443, 0.445), (0.421, 0.421, 0.462, 0.474)),
        Published("UGACH", "UCCH", "all", (0.613, 0.623, 0.628, 0.631), (0.603, 0.614, 0.640, 0.641)),
        Published("DJSRH", "UCCH", "all", (0.502, 0.538, 0.527, 0.556), (0.465, 0.532, 0.538, 0.545)),
        Published("JDSH", "UCCH", "all", (0.647, 0.656, 0.679, 0.680), (0.649, 0.669, 0.689, 0.699)),
        Published("DGCPN", "UCCH", "all", (0.610, 0.614, 0.635, 0.641), (0.617, 0.621, 0.642, 0.647)),
        Published("UCH", "UCCH", "all", (None, None, None, None), (None, None, None, None)),
        Published("UCCH", "UCCH", "all", (0.698, 0.708, 0.737, 0.742), (0.701, 0.724, 0.745, 0.750)),
        Published("DJSRH", "DJSRH", "50", (0.724, 0.773, 0.798, 0.817), (0.712, 0.744, 0.771, 0.789)),
        Published("UDCMH", "DJSRH", "50", (0.511, 0.519, 0.524, 0.558), (0.637, 0.653, 0.695, 0.716)),
        Published("DSAH", "CCAH", "50", (0.775, 0.805, 0.818, 0.827), (0.770, 0.790, 0.804, 0.815)),
    ),
    "coco": (
        Published("CVH", "UCCH", "all", (0.503, 0.504, 0.471, 0.425), (0.506, 0.508, 0.476, 0.429)),
        Published("FSH", "UCCH", "all", (0.539, 0.549, 0.576, 0.587), (0.537, 0.524, 0.564, 0.573)),
        Published("DLFH", "UCCH", "all", (0.522, 0.580, 0.614, 0.631), (0.444, 0.489, 0.513, 0.534)),
        Published("UGACH", "UCCH", "all", (0.553, 0.599, 0.598, 0.615), (0.581, 0.605, 0.629, 0.635)),
        Published("DJSRH", "UCCH", "all", (0.501, 0.563, 0.595, 0.615), (0.494, 0.569, 0.604, 0.622)),
        Published("JDSH", "UCCH", "all", (0.579, 0.628, 0.647, 0.662), (0.578, 0.634, 0.659, 0.672)),
        Published("DGCPN", "UCCH", "all", (0.552, 0.590, 0.602, 0.596), (0.564, 0.590, 0.597, 0.597)),
        Published("UCH", "UCCH", "all", (0.521, 0.534, 0.547, None), (0.499, 0.519, 0.545, None)),
        Published("UCCH", "UCCH", "all", (0.605, 0.645, 0.655, 0.665), (0.610, 0.655, 0.666, 0.677)),
        Published("DCMH", "QDCMH", "all", (0.5228, 0.5438, 0.5419, None), (0.4883, 0.4942, 0.5145, None)),
        Published("PRDH", "QDCMH", "all", (0.5238, 0.5521, 0.5572, None), (0.5122, 0.5190, 0.5404, None)),
        Published("SSAH", "QDCMH", "all", (0.5127, 0.5256, 0.5067, None), (0.4832, 0.4831, 0.4922, None)),
        Published("QDCMH", "QDCMH", "all", (0.5286, 0.5313, 0.5371, None), (0.5245, 0.5398, 0.5487, None)),
    ),
    "wikipedia": (Published("DJSRH", "DJSRH", "50", (0.388, 0.403, 0.412, 0.421), (0.611, 0.635, 0.646, 0.658)),),
}
"""By name of the data set. NUS-WIDE is that of its 10 most frequent classes; DCMH and DADH report another, of 21."""
