namespace Shinano.Control.GuestPackages;

/// <summary>A file to add to a ramdisk.</summary>
/// <param name="Path">Where it goes in the guest, with or without a leading "/".</param>
/// <param name="Content">Its bytes.</param>
/// <param name="Executable">0755 instead of 0644.</param>
public sealed record RamdiskFile(string Path, ReadOnlyMemory<byte> Content, bool Executable = false);
