namespace Shinano.Control.GuestPackages;

/// <summary>A module of a guest's kernel.</summary>
/// <param name="Name">With underscores: "xen_privcmd".</param>
/// <param name="GuestPath">Where it goes in the guest, relative to "/".</param>
/// <param name="Content">The .ko file, decompressed.</param>
public sealed record KernelModule(string Name, string GuestPath, ReadOnlyMemory<byte> Content);
