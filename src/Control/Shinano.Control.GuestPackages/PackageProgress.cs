namespace Shinano.Control.GuestPackages;

/// <summary>A step on the way of a package into the cache.</summary>
/// <param name="Stage">What is being done.</param>
/// <param name="Package">The package; the name that was asked for until it is resolved.</param>
/// <param name="BytesDone">Bytes downloaded so far; 0 outside <see cref="PackageStage.Downloading"/>.</param>
/// <param name="BytesTotal">Size of the package in bytes; 0 while unknown.</param>
/// <param name="Percent">How much of this stage is done, 0 to 100.</param>
public sealed record PackageProgress(PackageStage Stage, string Package, long BytesDone, long BytesTotal, double Percent);
