"""The CRD benchmark's forward passes written out with torch.nn.functional, straight from a state dict of its layout."""

import itertools

import torch
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d, linear, max_pool2d, relu


class Weights:
    """A state dict with the three layers that all networks are made of, by name."""

    def __init__(self, state):
        self.state = state

    def has(self, name):
        return f'{name}.weight' in self.state

    def count(self, pattern):
        """How many of ``pattern.format(0)``, ``pattern.format(1)``, ... there are."""
        return next(i for i in itertools.count() if not self.has(pattern.format(i)))

    def conv(self, x, name, stride=1):
        weight = self.state[f'{name}.weight']
        groups, padding = x.shape[1] // weight.shape[1], weight.shape[-1] // 2
        return conv2d(x, weight, self.state.get(f'{name}.bias'), stride, padding, groups=groups)

    def norm(self, x, name):
        weight, bias, mean, var = (
            self.state[f'{name}.{part}'].view(1, -1, 1, 1) for part in ('weight', 'bias', 'running_mean', 'running_var')
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    def conv_norm(self, x, conv, norm, stride=1):
        return self.norm(self.conv(x, conv, stride), norm)


def shuffle(x, groups):
    """Channel ``i`` of group ``g`` goes to place ``i * groups + g``."""
    return x[:, torch.arange(x.shape[1]).view(groups, -1).t().reshape(-1)]


def forward(arch, state, x):
    """Features by the benchmark's names, what is pooled, and logits, of a network in evaluation mode."""
    family = {'ResNet50': resnet, 'MobileNetV2': mobilenet, 'ShuffleV1': shuffle_v1, 'ShuffleV2': shuffle_v2}.get(arch)
    family = family or {'r': resnet, 'w': wide_resnet, 'v': vgg}[arch[0]]
    feats, last = family(Weights(state), x)
    name = next(n for n in ('fc', 'linear', 'classifier', 'classifier.0') if f'{n}.weight' in state)
    pooled = adaptive_avg_pool2d(last, 1).flatten(1)
    return feats, last, linear(pooled, state[f'{name}.weight'], state[f'{name}.bias'])


def resnet(w, x):
    feats = {'f0': relu(w.conv_norm(x, 'conv1', 'bn1'))}
    x = feats['f0']
    for i in range(1, 5 if w.has('layer4.0.conv1') else 4):
        for j in range(w.count(f'layer{i}.{{}}.conv1')):
            block, stride = f'layer{i}.{j}', 2 if i > 1 and j == 0 else 1
            bottleneck = w.has(f'{block}.conv3')
            out = relu(w.conv_norm(x, f'{block}.conv1', f'{block}.bn1', 1 if bottleneck else stride))
            out = w.conv_norm(out, f'{block}.conv2', f'{block}.bn2', stride if bottleneck else 1)
            if bottleneck:
                out = w.conv_norm(relu(out), f'{block}.conv3', f'{block}.bn3')
            for name in (f'{block}.downsample', f'{block}.shortcut'):
                if w.has(f'{name}.0'):
                    x = w.conv_norm(x, f'{name}.0', f'{name}.1', stride)
            preact = out + x
            x = relu(preact)
        feats[f'f{i}'], feats[f'f{i}.preact'] = x, preact
    return feats, x


def wide_resnet(w, x):
    x = w.conv(x, 'conv1')
    feats = {'f0': x}
    for i in (1, 2, 3):
        for j in range(w.count(f'block{i}.layer.{{}}.conv1')):
            block, stride = f'block{i}.layer.{j}', 2 if i > 1 and j == 0 else 1
            out = relu(w.norm(x, f'{block}.bn1'))
            if w.has(f'{block}.convShortcut'):
                x = w.conv(out, f'{block}.convShortcut', stride)
            out = relu(w.conv_norm(out, f'{block}.conv1', f'{block}.bn2', stride))
            x = x + w.conv(out, f'{block}.conv2')
        feats[f'f{i}'] = x
        feats[f'f{i}.preact'] = w.norm(x, f'block{i + 1}.layer.0.bn1' if i < 3 else 'bn1')
    return feats, relu(feats['f3.preact'])


def vgg(w, x):
    feats, height = {}, x.shape[2]
    for i in range(5):
        if i in (1, 2, 3) or (i == 4 and height == 64):
            x = max_pool2d(x, 2)
        for k in range(0, 12, 3):
            if w.has(f'block{i}.{k}'):
                preact = w.conv_norm(x, f'block{i}.{k}', f'block{i}.{k + 1}')
                x = relu(preact)
        feats[f'f{i}'] = x
        if i:
            feats[f'f{i}.preact'] = preact
    return feats, x


def mobilenet(w, x):
    x = relu(w.conv_norm(x, 'conv1.0', 'conv1.1', 2))
    feats = {'f0': x}
    for i, stride in enumerate((1, 1, 2, 2, 1, 2, 1)):
        for j in range(w.count(f'blocks.{i}.{{}}.conv.0')):
            block = f'blocks.{i}.{j}.conv'
            out = relu(w.conv_norm(x, f'{block}.0', f'{block}.1'))
            out = relu(w.conv_norm(out, f'{block}.3', f'{block}.4', stride if j == 0 else 1))
            out = w.conv_norm(out, f'{block}.6', f'{block}.7')
            x = out + x if out.shape == x.shape else out
        if i in (1, 2, 4, 6):
            name = f'f{(1, 2, 4, 6).index(i) + 1}'
            feats[name] = feats[f'{name}.preact'] = x
    return feats, relu(w.conv_norm(x, 'conv2.0', 'conv2.1'))


def shuffle_v1(w, x):
    x = relu(w.conv_norm(x, 'conv1', 'bn1'))
    feats = {'f0': x}
    for i in (1, 2, 3):
        for j in range(w.count(f'layer{i}.{{}}.conv1')):
            block, stride = f'layer{i}.{j}', 1 if j else 2
            out = relu(w.conv_norm(x, f'{block}.conv1', f'{block}.bn1'))
            out = shuffle(out, 1 if (i, j) == (1, 0) else 3)
            out = relu(w.conv_norm(out, f'{block}.conv2', f'{block}.bn2', stride))
            out = w.conv_norm(out, f'{block}.conv3', f'{block}.bn3')
            preact = out + x if j else torch.cat([out, avg_pool2d(x, 3, 2, 1)], 1)
            x = relu(preact)
        feats[f'f{i}'], feats[f'f{i}.preact'] = x, preact
    return feats, x


def shuffle_v2(w, x):
    x = relu(w.conv_norm(x, 'conv1', 'bn1'))
    feats = {'f0': x}
    for i in (1, 2, 3):
        block = f'layer{i}.0'
        left = w.conv_norm(x, f'{block}.conv1', f'{block}.bn1', 2)
        left = relu(w.conv_norm(left, f'{block}.conv2', f'{block}.bn2'))
        right = relu(w.conv_norm(x, f'{block}.conv3', f'{block}.bn3'))
        right = w.conv_norm(right, f'{block}.conv4', f'{block}.bn4', 2)
        right = relu(w.conv_norm(right, f'{block}.conv5', f'{block}.bn5'))
        x = shuffle(torch.cat([left, right], 1), 2)
        for j in range(1, w.count(f'layer{i}.{{}}.conv1')):
            block, half = f'layer{i}.{j}', x.shape[1] // 2
            kept, out = x[:, :half], x[:, half:]
            out = relu(w.conv_norm(out, f'{block}.conv1', f'{block}.bn1'))
            out = w.conv_norm(out, f'{block}.conv2', f'{block}.bn2')
            out = w.conv_norm(out, f'{block}.conv3', f'{block}.bn3')
            preact = torch.cat([kept, out], 1)
            x = shuffle(torch.cat([kept, relu(out)], 1), 2)
        feats[f'f{i}'], feats[f'f{i}.preact'] = x, preact
    return feats, relu(w.conv_norm(x, 'conv2', 'bn2'))
