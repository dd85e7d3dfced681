namespace Shinano.Hypervisor.Images.Payloads;

/// <summary>Decompressed bytes, or why there are none.</summary>
internal readonly struct Decompressed
{
    public Decompressed(byte[] bytes) => Bytes = bytes;

    public Decompressed(KernelImageFailure failure) => Failure = failure;

    public ReadOnlyMemory<byte> Bytes { get; }

    public KernelImageFailure? Failure { get; }
}
