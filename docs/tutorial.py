# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Tutorial
#
# Train one network with three depths, look at it, choose a depth, export it and run it without PyTorch. Everything below
# was run when this page was built, on a CPU, in less than a minute. The images are scikit-learn's handwritten digits.

# %% tags=["remove-cell"]
import os
import tempfile
import warnings

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the page is the same wherever it is built
warnings.filterwarnings("ignore")
os.chdir(tempfile.mkdtemp())

# %% [markdown]
# ## One network, three nets
#
# `ddnn.build` gives a network that holds a full net and its sub-nets. Each of them is a plain model that stands on the full
# net's parameters.

# %%
import torch

import ddnn

net = ddnn.build("resnet20", subnets=["resnet8", "resnet14"], num_classes=10)
for name in net.names:
    parameters = sum(parameter.numel() for parameter in net[name].parameters())
    print(f"{name}: blocks in each stage {net.depths[name]}, {parameters:,} parameters")
print(f"all together: {sum(parameter.numel() for parameter in net.parameters()):,}")

# %% [markdown]
# A call names its net. `forward_all` gives the answers of all nets, and computes what they have in common once.

# %%
images = torch.randn(4, 3, 32, 32)
net.eval()
with torch.no_grad():
    shallow = net(images, "resnet8")
    outputs = net.forward_all(images)
print(shallow.shape, {name: tuple(output.logits.shape) for name, output in outputs.items()})
print("the same answers:", torch.allclose(shallow, outputs["resnet8"].logits, atol=1e-5))

# %% [markdown]
# ## Train
#
# `ddnn.train` is `ddnn train` as a function. It returns the run directory. In every step the full net, or the average of
# its weights, teaches the sub-nets.

# %% tags=["remove-output"]
run = ddnn.train(ddnn.TrainConfig(epochs=6, device="cpu", output="run"), progress=False)

# %% [markdown]
# ## Look
#
# The run directory has the network, the scores and the curve of every depth.

# %%
from pathlib import Path

print(sorted(path.name for path in Path("run").iterdir()))
scores = ddnn.evaluate(run, device="cpu").scores
for name, score in scores.items():
    print(f"{name}: {100 * score.accuracy:.1f} % of the test images")

# %%
import csv

import matplotlib.pyplot as plt

with Path("run/metrics.csv").open() as file:
    epochs = list(csv.DictReader(file))
for name in scores:
    plt.plot(
        [int(row["epoch"]) for row in epochs], [100 * float(row[f"accuracy/{name}"]) for row in epochs], label=name
    )
plt.xlabel("epoch")
plt.ylabel("accuracy, %")
_ = plt.legend()

# %% [markdown]
# ## Export, and run without PyTorch
#
# An export has a graph for each net, and one file with the weights of all of them. `ddnn_runtime` opens it with onnxruntime
# alone. It is a package of its own, for devices.

# %% tags=["remove-output"]
_ = ddnn.export(run, "export", progress=False)

# %%
for path in sorted(Path("export").iterdir()):
    print(f"{path.name}: {path.stat().st_size:,} bytes")

# %%
import numpy as np
from ddnn_runtime import Runtime

runtime = Runtime("export", threads=1)
digit = np.random.default_rng(0).integers(0, 256, (1, *runtime.manifest.input_shape), dtype=np.uint8)
for name in runtime.names:
    print(name, runtime(digit, name).argmax())

# %% [markdown]
# ## Choose a depth
#
# What a net costs depends on the machine. `latency` measures all nets here, in turns, and `best_within` picks the best one
# that fits.

# %%
latency = runtime.latency()
for name, milliseconds in latency.items():
    print(f"{name}: {milliseconds:.2f} ms")
limit = 1.01 * latency["resnet14"]
print(f"the best within {limit:.2f} ms: {runtime.best_within(limit)}")

# %% [markdown]
# `ddnn profile` and `ddnn choose` do this with more care, for networks, exports and other devices
# ([choosing a depth](profiling.md)). A server can choose the depth for each request, by its deadline and by how many others wait.
