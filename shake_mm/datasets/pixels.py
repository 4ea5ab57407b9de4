"""What mmcv does to the pixels of one image, for batches of 8 bits whose images have each their own parameters.

Images have shape (N, 3, H, W), uint8, and channels in the order that mmcv takes for blue, green and red. Nothing waits
for the device.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

GRAY = (3735, 19235, 9798)
"""Weights of cv2's gray, in parts of 2¹⁵."""


def look_up(images: Tensor, tables: Tensor) -> Tensor:
    """Replace every value by that of a table.

    Args:
        images (Tensor): Shape (N, 3, H, W).
        tables (Tensor): For each image, shape (N, 256), or for each of its channels, (N, 3, 256), uint8.
    """
    return tables.gather(-1, images.flatten(tables.ndim - 1).long()).view_as(images)


def auto_contrast(images: Tensor, _: Tensor) -> Tensor:
    """Stretch each channel to 0 to 255, as ``mmcv.auto_contrast`` does without a cutoff."""
    low, high = (end((2, 3))[..., None].double() for end in (images.amin, images.amax))
    scale = torch.full_like(low, 255).div(high - low)  # a number over a tensor is a product in torch, and rounds twice
    values = torch.arange(256, dtype=torch.float64, device=images.device)
    tables = torch.where(high > low, (values * scale - low * scale).clamp(0, 255), values)
    return look_up(images, tables.to(torch.uint8))


def equalize(images: Tensor, _: Tensor) -> Tensor:
    """Flatten the histogram of each channel, as ``mmcv.imequalize`` and torchvision do, which agree."""
    from torchvision.transforms.v2 import functional  # which takes its time to be imported

    return functional.equalize(images)


def color(images: Tensor, factors: Tensor) -> Tensor:
    """Mix images and their gray, as ``mmcv.adjust_color`` does.

    Args:
        images (Tensor): Shape (N, 3, H, W).
        factors (Tensor): Of the image and of the gray, shape (N, 2), float32.
    """
    return _mixed(images, _gray(images)[:, None], factors).round().clamp(0, 255).to(torch.uint8)


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Mix images and the mean of their gray, as ``mmcv.adjust_contrast`` does.

    Args:
        images (Tensor): Shape (N, 3, H, W).
        factors (Tensor): Of the image and of the mean, shape (N, 2), float32.
    """
    mean = _gray(images).double().mean((1, 2)).round()[:, None, None, None]
    return _mixed(images, mean, factors).clamp(0, 255).to(torch.uint8)


def sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Mix images and what a 3×3 filter smooths, as ``mmcv.adjust_sharpness`` does.

    Args:
        images (Tensor): Shape (N, 3, H, W).
        factors (Tensor): Of the image and of the smooth one, shape (N, 2), float32.
    """
    framed = F.pad(images.float(), (1, 1, 1, 1), mode='reflect')
    thirteenths = F.avg_pool2d(framed, 3, 1, divisor_override=1) + 4 * framed[..., 1:-1, 1:-1]
    smooth = (2 * thirteenths + 13).div(26, rounding_mode='floor')  # to the nearest: thirteenths have no halves
    return _mixed(images, smooth, factors).clamp(0, 255).to(torch.uint8)


def fill(images: Tensor, holes: Tensor) -> Tensor:
    """Fill a rectangle.

    Args:
        images (Tensor): Shape (N, C, H, W).
        holes (Tensor): First row, row behind the last, first column, column behind the last, and a value for each
            channel, shape (N, 4 + C); no rectangle where it ends before it begins.
    """
    top, bottom, left, right = (side[:, None] for side in holes[:, :4].unbind(1))
    rows, columns = (torch.arange(side, device=images.device) for side in images.shape[2:])
    hole = ((rows >= top) & (rows < bottom))[:, :, None] & ((columns >= left) & (columns < right))[:, None]
    return torch.where(hole[:, None], holes[:, 4:, None, None].to(images.dtype), images)


def warp_nearest(images: Tensor, warps: Tensor) -> Tensor:
    """Move pixels as ``cv2.warpAffine`` does, to the nearest place.

    Args:
        images (Tensor): Shape (N, 3, H, W).
        warps (Tensor): The matrix by which a pixel's place (x, y, 1) becomes that of the pixel which goes there, row by
            row, and the value beyond the border, by channel, shape (N, 9), float32.
    """
    height, width = images.shape[2:]
    x, y = (place.round().long() for place in _places(warps, height, width))
    inside = (y + 1).clamp(0, height + 1) * (width + 2) + (x + 1).clamp(0, width + 1)
    framed = _framed(images, warps).flatten(2)
    return framed.gather(2, inside.flatten(1)[:, None].expand(-1, images.shape[1], -1)).view_as(images)


def warp_bilinear(images: Tensor, warps: Tensor) -> Tensor:
    """Move pixels as :func:`warp_nearest` does, and take values between pixels in proportion."""
    return _sampled(images, warps, 'bilinear')


def warp_bicubic(images: Tensor, warps: Tensor) -> Tensor:
    """Move pixels as :func:`warp_nearest` does, and take values between pixels by cubic polynomials."""
    return _sampled(images, warps, 'bicubic')


WARPS = dict(nearest=warp_nearest, bilinear=warp_bilinear, area=warp_bilinear, bicubic=warp_bicubic)
"""By mmcv's name of the interpolation; cv2 warps by area as bilinearly."""


def _sampled(images: Tensor, warps: Tensor, mode: str) -> Tensor:
    height, width = images.shape[2:]
    x, y = _places(warps, height, width)
    grid = torch.stack([2 * (x + 1) / (width + 1) - 1, 2 * (y + 1) / (height + 1) - 1], dim=-1)
    framed = _framed(images, warps).float()  # beyond its frame there is nothing else, as far as one goes
    sampled = F.grid_sample(framed, grid, mode=mode, padding_mode='border', align_corners=True)
    return sampled.round().clamp(0, 255).to(torch.uint8)


def _places(warps: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Column and row, each (N, H, W), that the pixels of moved images come from."""
    columns, rows = torch.arange(width, device=warps.device), torch.arange(height, device=warps.device)[:, None]
    a, b, c, d, e, f = (number[:, None, None] for number in warps[:, :6].unbind(1))
    return a * columns + (b * rows + c), d * columns + (e * rows + f)


def _framed(images: Tensor, warps: Tensor) -> Tensor:
    """Images with one pixel around them that has the border's value."""
    number, channels, height, width = images.shape
    border = warps[:, 6:, None, None].to(images.dtype)
    framed = border.expand(number, channels, height + 2, width + 2).contiguous()
    framed[:, :, 1:-1, 1:-1] = images
    return framed


def _gray(images: Tensor) -> Tensor:
    """Shape (N, H, W), int32, of 0 to 255."""
    blue, green, red = (weight * plane for weight, plane in zip(GRAY, images.int().unbind(1)))
    return (blue + green + red + 2**14) >> 15


def _mixed(images: Tensor, others: Tensor, factors: Tensor) -> Tensor:
    of_image, of_other = (factor[:, None, None, None] for factor in factors.unbind(1))
    return images * of_image + others.float() * of_other
