namespace Shinano.Control.GuestPackages;

/// <summary>A package is not in the cache and cannot be fetched. The message is for people: what is missing and how to get it.</summary>
public sealed class GuestPackageUnavailableException : Exception
{
    public GuestPackageUnavailableException(string package, string message, Exception? innerException = null)
        : base(message, innerException) => Package = package;

    /// <summary>The name that was asked for.</summary>
    public string Package { get; }
}
