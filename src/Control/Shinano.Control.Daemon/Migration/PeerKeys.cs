using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.RegularExpressions;
using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Migration;

/// <summary>This host's key for migrations, made at its first use, and the keys of the hosts that it trusts: files in the state directory, ours alone.</summary>
/// <remarks>Trust is in keys, not in names: a certificate is only what TLS wants around a key, and nothing else of it is looked at.</remarks>
internal sealed partial class PeerKeys(ShinanoPaths paths)
{
    private readonly Lock _lock = new();
    private X509Certificate2? _own;

    private string Directory => Path.Combine(paths.StateDirectory, "migration");

    private string KeyFile => Path.Combine(Directory, "key.pem");

    private string TrustFile => Path.Combine(Directory, "trusted");

    /// <summary>This host's key and the certificate around it.</summary>
    /// <exception cref="IOException">It cannot be read or written.</exception>
    public X509Certificate2 Own
    {
        get
        {
            lock (_lock)
            {
                return _own ??= File.Exists(KeyFile) ? Load(File.ReadAllText(KeyFile)) : Make();
            }
        }
    }

    /// <summary>The hosts that are trusted, in the order in which they were added.</summary>
    public IReadOnlyList<TrustedPeer> Trusted
    {
        get
        {
            lock (_lock)
            {
                return File.Exists(TrustFile)
                    ? [.. File.ReadAllLines(TrustFile).Select(line => line.Split(' ', 2, StringSplitOptions.TrimEntries))
                        .Where(words => Pattern().IsMatch(words[0])).Select(words => new TrustedPeer(words[0], words.Length > 1 ? words[1] : ""))]
                    : [];
            }
        }
    }

    /// <summary>"sha256:" and the hash of the key's SubjectPublicKeyInfo in hexadecimal digits.</summary>
    public static string FingerprintOf(X509Certificate2 certificate) =>
        $"sha256:{Convert.ToHexStringLower(SHA256.HashData(certificate.PublicKey.ExportSubjectPublicKeyInfo()))}";

    public bool IsTrusted(string fingerprint) => Trusted.Any(peer => peer.Fingerprint == fingerprint);

    /// <exception cref="DomainFailureException">It is no fingerprint.</exception>
    public void Trust(TrustedPeer peer)
    {
        string fingerprint = peer.Fingerprint.ToLowerInvariant();
        if (!Pattern().IsMatch(fingerprint) || peer.Name.Any(char.IsControl))
        {
            throw new DomainFailureException(
                DomainFailureCode.InvalidArgument, $"'{peer.Fingerprint}' is no fingerprint: it is 'sha256:' and 64 hexadecimal digits, as xm migrate-key prints it");
        }

        Change([.. Trusted.Where(one => one.Fingerprint != fingerprint), new TrustedPeer(fingerprint, peer.Name)]);
    }

    /// <exception cref="DomainFailureException">There is none like it.</exception>
    public void Distrust(string fingerprint)
    {
        IReadOnlyList<TrustedPeer> before = Trusted;
        TrustedPeer[] after = [.. before.Where(peer => peer.Fingerprint != fingerprint.ToLowerInvariant() && peer.Name != fingerprint)];
        if (after.Length == before.Count)
        {
            throw new DomainFailureException(DomainFailureCode.InvalidArgument, $"no trusted host has the fingerprint or the name '{fingerprint}'");
        }

        Change(after);
    }

    private void Change(IReadOnlyList<TrustedPeer> peers)
    {
        lock (_lock)
        {
            ShinanoPaths.EnsureDirectory(Directory);
            WritePrivately(TrustFile, string.Concat(peers.Select(peer => $"{peer.Fingerprint} {peer.Name}".TrimEnd() + "\n")));
        }
    }

    private X509Certificate2 Make()
    {
        ShinanoPaths.EnsureDirectory(Directory);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=Shinano migration", key, HashAlgorithmName.SHA256);
        using X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UnixEpoch, new DateTimeOffset(9999, 1, 1, 0, 0, 0, TimeSpan.Zero));
        string text = $"{certificate.ExportCertificatePem()}\n{key.ExportPkcs8PrivateKeyPem()}\n";
        WritePrivately(KeyFile, text);
        return Load(text);
    }

    private static X509Certificate2 Load(string pem)
    {
        try
        {
            return X509Certificate2.CreateFromPem(pem, pem);
        }
        catch (CryptographicException e)
        {
            throw new IOException($"the key for migrations cannot be read: {e.Message}", e);
        }
    }

    private static void WritePrivately(string path, string text)
    {
        string fresh = path + ".new";
        File.Delete(fresh);
        using (StreamWriter writer = new(new FileStream(fresh, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        })))
        {
            writer.Write(text);
        }

        File.Move(fresh, path, overwrite: true);
    }

    [GeneratedRegex("^sha256:[0-9a-f]{64}$")]
    private static partial Regex Pattern();
}
