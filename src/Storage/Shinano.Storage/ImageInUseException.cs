namespace Shinano.Storage;

/// <summary>Somebody else has an image open in a way that excludes what was asked.</summary>
/// <param name="path">The image's file.</param>
/// <param name="holder">Who has it, in words, as far as the kernel tells.</param>
public sealed class ImageInUseException(string path, string holder) : IOException($"'{path}' is in use by {holder}")
{
    /// <summary>The image's file.</summary>
    public string ImagePath { get; } = path;

    /// <summary>Who has it, in words, as far as the kernel tells.</summary>
    public string Holder { get; } = holder;
}
