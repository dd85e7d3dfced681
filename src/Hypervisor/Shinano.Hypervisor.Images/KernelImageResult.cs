using System.Diagnostics.CodeAnalysis;

namespace Shinano.Hypervisor.Images;

/// <summary>What came of reading a kernel image: an image or a failure, never both and never an exception.</summary>
public sealed class KernelImageResult
{
    internal KernelImageResult(KernelImage image) => Image = image;

    internal KernelImageResult(KernelImageFailure failure) => Failure = failure;

    [MemberNotNullWhen(true, nameof(Image))]
    [MemberNotNullWhen(false, nameof(Failure))]
    public bool Succeeded => Image is not null;

    public KernelImage? Image { get; }

    public KernelImageFailure? Failure { get; }
}
