import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.FileInputStream;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.security.DigestInputStream;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.util.Collection;
import java.util.HexFormat;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import no.difi.asic.AsicReader;
import no.difi.asic.AsicReaderFactory;
import no.difi.asic.SignatureMethod;
import no.difi.commons.asic.jaxb.asic.AsicManifest;
import org.bouncycastle.cms.CMSEnvelopedDataParser;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.jcajce.JceKeyTransEnvelopedRecipient;

/** Opens packages as the network's own software does: Bouncy Castle, then commons-asic. */
class OpenedByJava {
    /** Arguments: keystore, password, alias, then packages. Prints what it finds in each. */
    public static void main(String[] arguments) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        char[] password = arguments[1].toCharArray();
        try (InputStream file = new FileInputStream(arguments[0])) {
            store.load(file, password);
        }
        PrivateKey key = (PrivateKey) store.getKey(arguments[2], password);
        var out = new java.io.PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (int i = 3; i < arguments.length; i++) {
            try (ZipFile zip = new ZipFile(arguments[i])) {
                ZipEntry asic = zip.getEntry("asic.zip");
                open(new BufferedInputStream(zip.getInputStream(asic)), key, out);
            } catch (Exception error) {
                out.println("refused: " + error);
            }
        }
    }

    private static void open(InputStream sealed, PrivateKey key, java.io.PrintStream out)
            throws Exception {
        Collection<RecipientInformation> recipients =
                new CMSEnvelopedDataParser(sealed).getRecipientInfos().getRecipients();
        // All of it first: the container's reader stops before the end of the cipher text.
        byte[] clear =
                recipients.iterator().next()
                        .getContentStream(new JceKeyTransEnvelopedRecipient(key))
                        .getContentStream()
                        .readAllBytes();
        AsicReader reader =
                AsicReaderFactory.newFactory(SignatureMethod.CAdES)
                        .open(new ByteArrayInputStream(clear));
        StringBuilder found = new StringBuilder();
        for (String name; (name = reader.getNextFile()) != null; ) {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            try (InputStream content = new DigestInputStream(reader.inputStream(), digest)) {
                content.transferTo(java.io.OutputStream.nullOutputStream());
            }
            found.append("file ").append(HexFormat.of().formatHex(digest.digest()));
            found.append(' ').append(name).append('\n');
        }
        reader.close();
        AsicManifest manifest = reader.getAsicManifest();
        out.print(found);
        out.println("signers " + manifest.getCertificate().size());
        out.println("verified");
    }
}
