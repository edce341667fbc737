"""Values per query that belong together, from tied blocks: one pass over a ranking serves many metrics."""

import torch
from jaxtyping import Float
from torch import Tensor

from fico.evaluation.columns import FusedColumns
from fico.metrics.at_all_relevant import ap_at_r_of_ranking, r_precision_of_ranking
from fico.metrics.average_precision import ap_of_ranking
from fico.metrics.ndcg import ndcg_of_ranking
from fico.metrics.precision_recall import precision_of_ranking
from fico.metrics.rank import expected_rank, expected_reciprocal
from fico.metrics.recall import any_found, fraction_found
from fico.metrics.ties import TiedBlocks, join_rankings

_JOINED = 1.1  # tied blocks per score up to which three orders at once need less memory than the sort did
_HEAD = 8  # cut-offs within this fraction of the gallery need the heads of the rankings alone


def fused_values(fused: FusedColumns, task: str, orders: list[TiedBlocks]) -> Float[Tensor, "orders queries columns"]:
    """The columns of `FusedColumns.metrics`, of the same rankings in several orders.

    Args:
        fused: Cut-offs and definitions.
        task: Which task; queries without relevant item have NaN at instance level.
        orders: Rankings, as `fico.evaluation.engines.unfused_columns.tie_orders` gives them.
    """
    return (_category if task == "category" else _instance)(fused, orders)


def _category(fused: FusedColumns, orders: list[TiedBlocks]) -> Float[Tensor, "orders queries columns"]:
    """All orders at once; whole rankings one order at a time if large."""
    items = orders[0].items
    shallow = [k for k in fused.map_at if k <= items // _HEAD]
    deep = [*fused.map_at[len(shallow) :], None]
    is_small = sum(len(order.above) for order in orders) <= _JOINED * len(orders[0].all_relevant) * items
    parts = [join_rankings(orders)] if is_small else orders
    head = join_rankings([part.until(max([10, *shallow])) for part in parts])
    first = [ap_of_ranking(head, k, fused.ap) for k in shallow]
    whole = torch.cat([
        torch.stack([*(ap_of_ranking(part, k, fused.ap) for k in deep), *precision_of_ranking(part).T], dim=1)
        for part in parts
    ])  # fmt: skip
    columns = [*(column[:, None] for column in first), whole, ndcg_of_ranking(head, 10)[:, None]]
    return torch.cat(columns, dim=1).view(len(orders), -1, fused.count("category"))


def _instance(fused: FusedColumns, orders: list[TiedBlocks]) -> Float[Tensor, "orders queries columns"]:
    ranking = join_rankings(orders)
    first = ranking.first()
    if fused.recall == "fraction":
        columns = [fraction_found(ranking, k) for k in fused.recall_at]
    else:
        cuts = torch.tensor(fused.recall_at, dtype=torch.int64, device=ranking.above.device)
        columns = list(any_found(*first, cuts[:, None]))  # along the queries, of which there are more, it is faster
    columns += [expected_rank(*first), expected_reciprocal(*first), ndcg_of_ranking(ranking, 10)]
    if fused.at_r:
        columns += [ap_at_r_of_ranking(ranking), r_precision_of_ranking(ranking)]
    values = torch.stack(columns, dim=1).masked_fill((ranking.all_relevant == 0)[:, None], torch.nan)
    return values.view(len(orders), -1, values.shape[1])
