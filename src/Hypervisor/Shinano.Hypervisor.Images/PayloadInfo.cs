namespace Shinano.Hypervisor.Images;

/// <summary>Where an ELF file came from, for the result and for messages.</summary>
internal sealed record PayloadInfo(KernelContainer Container, PayloadCompression Compression, string? LinuxVersion);
