namespace Shinano.Hypervisor.Images;

/// <summary>A refused kernel image.</summary>
/// <param name="Error">The kind, for programs.</param>
/// <param name="Message">A sentence for people: what is wrong and what would be right. It does not name the file; the caller knows it.</param>
public sealed record KernelImageFailure(KernelImageError Error, string Message);
