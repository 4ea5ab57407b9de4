"""Jobs by ``tools/dist_train.sh``, on this machine or on what passes for several."""

from concurrent.futures import ThreadPoolExecutor

from ..engine.test_distributed import free_port, launch


def start(config, nodes, processes, *options, **variables):
    """Run a config on nodes of some processes each; their outcomes, a ``CompletedProcess`` each."""
    port = str(free_port())

    def node(rank):
        place = dict(PORT=port, NNODES=str(nodes), NODE_RANK=str(rank))
        return launch(['bash', 'tools/dist_train.sh', config, processes, *options], **place, **variables)

    with ThreadPoolExecutor(nodes) as pool:
        return list(pool.map(node, range(nodes)))
