namespace Shinano.Storage;

/// <summary>An image file contradicts its format, or uses a feature that we do not know.</summary>
public sealed class InvalidImageException(string message) : IOException(message);
